"""Archives read in place: what the standard library reads, and what must be refused in words."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hand_built import TAR_END, ZipMember, tar_header, tar_member, zip_bytes

from segrank.data import members
from segrank.data.archive import ArchiveTree
from segrank.data.archive_file import ArchiveFile
from segrank.data.images import MAX_FILE_BYTES
from segrank.data.union import UnionTree, open_tree
from segrank.errors import DataError

OpenBytes = Callable[[bytes], ArchiveTree]


@pytest.fixture
def archive(tmp_path: Path) -> OpenBytes:
    """The tree of an archive with this content, whatever its name says."""

    def opened(content: bytes) -> ArchiveTree:
        path = tmp_path / "some.zip"
        path.write_bytes(content)
        return ArchiveTree(path)

    return opened


def everything(tree: ArchiveTree) -> dict[str, bytes]:
    """As a dataset would read it."""
    return {name: tree.read(name) for name in tree.find("**/*")}


def some_files() -> dict[str, bytes]:
    chance = random.Random(3)
    names = ["a.txt", "b/c.png", "b/d/Straße 車.png", f"{'long/' * 28}{'x' * 90}.png"]
    return {name: chance.randbytes(chance.randint(1, 3000)) + bytes(900) for name in names}


def names_of_many_lengths() -> list[str]:
    return [f"{'folder/' * depth}{'n' * length}.png" for depth in (0, 1, 20, 60) for length in (1, 90, 97, 98, 140)]


# ---------------------------------------------------------------- what good archives hold


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_as_zipfile_writes_it(archive: OpenBytes, compression: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        file.comment = b"a comment with PK\5\6 in it"
        file.mkdir("empty folder")
        for name, content in some_files().items():
            with file.open(name, "w", force_zip64=True) as member:
                member.write(content)
    tree = archive(packed.getvalue())
    assert everything(tree) == some_files()
    assert [tree.size(name) for name in some_files()] == [len(content) for content in some_files().values()]
    assert tree.size("none.png") == -1


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_as_tarfile_writes_it(archive: OpenBytes, layout: int) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=layout) as file:
        folder = tarfile.TarInfo("./b/")
        folder.type = tarfile.DIRTYPE
        file.addfile(folder)
        for name, content in some_files().items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            member.mtime = 1.5 if layout == tarfile.PAX_FORMAT else 1
            file.addfile(member, io.BytesIO(content))
    tree = archive(packed.getvalue())
    assert everything(tree) == some_files()
    assert tree.size("a.txt") == len(some_files()["a.txt"])


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_tar(archive: OpenBytes, layout: int) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=layout) as file:
        for name in names_of_many_lengths():
            file.addfile(tarfile.TarInfo(name))
    assert list(archive(packed.getvalue()).find("**/*.png")) == names_of_many_lengths()


def test_tar_from_before_posix_and_sizes_in_binary(archive: OpenBytes) -> None:
    size = b"\x80" + (5).to_bytes(11, "big")  # as GNU writes 8 GiB and more
    old = tar_member(b"folder/", magic=b"") + tar_member(b"folder/old.png", b"old", magic=b"")
    content = old + tar_header(b"new.png", size) + b"12345".ljust(512, b"\0") + TAR_END
    assert everything(archive(content)) == {"folder/old.png": b"old", "new.png": b"12345"}


def test_zip_beyond_4_gib(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"  # takes next to nothing on disk: the hole is not written
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.seek(5 * 2**30)
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("far/away.png", b"beyond")
    with zipfile.ZipFile(path) as packed:
        assert packed.getinfo("far/away.png").header_offset == 5 * 2**30
    assert everything(ArchiveTree(path)) == {"far/away.png": b"beyond"}


def test_an_archive_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "really_a_tar.zip").write_bytes(tar_member(b"a.png", b"x") + TAR_END)
    (tmp_path / "really_a_zip.tar").write_bytes(zip_bytes([ZipMember(b"a.png", b"x")]))
    for name in ("really_a_tar.zip", "really_a_zip.tar"):
        assert ArchiveTree(tmp_path / name).read("a.png") == b"x"


def test_hidden_files_and_patterns(archive: OpenBytes) -> None:
    names = ["a/1.png", "a/b/2.png", "a/._1.png", "__MACOSX/a/._1.png", ".git/x.png", "a/1.jpg", "ab/3.png"]
    tree = archive(zip_bytes([ZipMember(name.encode(), b"x") for name in names]))
    assert sorted(tree.find("a/*.png")) == ["a/1.png"]
    assert sorted(tree.find("**/*.png")) == ["a/1.png", "a/b/2.png", "ab/3.png"]
    assert sorted(tree.find("a*/[12].*")) == ["a/1.jpg", "a/1.png"]
    for pattern in ("../*.png", "/a/*.png", "a/**", "a/**x/*.png", "a/[z-a].png"):
        with pytest.raises(DataError, match=r"the p(ath|attern) "):
            tree.find(pattern)


def test_names_in_cp437(archive: OpenBytes) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("Stra?e.png", b"x")
    content = packed.getvalue().replace(b"Stra?e", b"Stra\xe1e")
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["Straße.png"]
    assert everything(archive(content)) == {"Straße.png": b"x"}


# ---------------------------------------------------------------- several processes and threads


def read_at_random(tree: ArchiveTree, seed: int) -> bool:
    chance = random.Random(seed)
    numbers = [chance.randrange(100) for _ in range(300)]
    return all(tree.read(f"{number}.bin") == random.Random(number).randbytes(999) for number in numbers)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_threads_and_processes_read_one_archive(archive: OpenBytes, kind: str) -> None:
    files = {f"{number}.bin".encode(): random.Random(number).randbytes(999) for number in range(100)}
    if kind == "zip":
        tree = archive(zip_bytes(ZipMember(name, content, deflate=True) for name, content in files.items()))
    else:
        tree = archive(b"".join(tar_member(name, content) for name, content in files.items()) + TAR_END)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read_at_random, [tree] * 8, range(8)))
    tree = tree.subset([f"{number}.bin" for number in range(100)])
    assert tree.read("0.bin")  # so that forked processes share the descriptor
    for context in ("fork", "spawn"):
        with multiprocessing.get_context(context).Pool(2) as processes:
            assert all(processes.starmap(read_at_random, [(tree, seed) for seed in range(4)]))


def test_descriptors_are_opened_late_and_closed(archive: OpenBytes, tmp_path: Path) -> None:
    def still_open() -> int:
        links = list(Path("/proc/self/fd").iterdir())
        return sum(link.is_symlink() and str(link.readlink()).startswith(str(tmp_path)) for link in links)

    tree = archive(zip_bytes([ZipMember(b"a.png", b"x")]))
    assert still_open() == 0
    assert tree.read("a.png") == pickle.loads(pickle.dumps(tree)).read("a.png") == b"x"
    assert still_open() == 1
    del tree
    assert still_open() == 0


def test_threads_that_open_the_file_at_once_do_not_close_it_on_each_other(
    archive: OpenBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(b"content")
    file, read = ArchiveFile(tmp_path / "some.zip"), os.pread

    def late(descriptor: int, count: int, at: int) -> bytes:
        vars(file).pop("_descriptor")  # what another thread does that has opened the file meanwhile
        return read(descriptor, count, at)

    monkeypatch.setattr(os, "pread", late)
    assert file.read(0, 7) == b"content"


def test_a_subset_knows_its_files_without_looking(archive: OpenBytes, tmp_path: Path) -> None:
    content = zip_bytes([ZipMember(b"a.png", b"x"), ZipMember(b"b.png", b"y"), ZipMember(b"c.png", b"z")])
    tree = pickle.loads(pickle.dumps(archive(content).subset(["c.png", "a.png"])))
    # the directory is gone, and is not needed
    (tmp_path / "some.zip").write_bytes(content[: content.index(b"PK\1\2")])
    assert sorted(tree.find("*.png")) == ["a.png", "c.png"]
    assert (tree.read("a.png"), tree.read("c.png"), "b.png" in tree) == (b"x", b"z", False)


# ---------------------------------------------------------------- dangerous names and kinds


@pytest.mark.parametrize(
    "name", [b"../evil.png", b"a/../../evil.png", b"/evil.png", b"a\\..\\evil.png", b"C:/evil.png", b"C:\\evil.png",
             b"./../evil.png", b"x" * 5000, b"../folder/"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_dangerous_names(archive: OpenBytes, kind: str, name: bytes) -> None:
    if kind == "zip":
        content = zip_bytes([ZipMember(b"good.png", b"x"), ZipMember(name, b"")])
    else:
        long_name = tar_member(b"././@LongLink", name, kind=b"L") if len(name) > 100 else b""
        content = tar_member(b"good.png", b"x") + long_name + tar_member(name[:100]) + TAR_END
    with pytest.raises(DataError, match=r"some\.zip holds a file of the dangerous name"):
        archive(content).find("*.png")


def test_a_name_with_a_zero_byte_in_a_zip(archive: OpenBytes) -> None:
    with pytest.raises(DataError, match=r"dangerous name 'a\.png\\x00\.txt'"):
        archive(zip_bytes([ZipMember(b"a.png\0.txt", b"x")])).find("*.png")


def test_a_name_that_stands_twice(archive: OpenBytes) -> None:
    twice = [ZipMember(b"a.png", b"x"), ZipMember(b"b.png", b"y"), ZipMember(b"./a.png", b"z")]
    with pytest.raises(DataError, match=r"holds a\.png twice"):
        archive(zip_bytes(twice)).find("*.png")
    with pytest.raises(DataError, match=r"holds a\.png twice"):
        archive(tar_member(b"a.png", b"x") + tar_member(b"a.png", kind=b"3") + TAR_END).find("*.png")


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../etc/passwd", b"x/../../../etc", b"..\\x", b"C:/x"])
@pytest.mark.parametrize("kind", ["zip", "tar symbolic", "tar hard"])
def test_links_that_leave(archive: OpenBytes, kind: str, target: bytes) -> None:
    if kind == "zip":
        link = ZipMember(b"folder/link", target, mode=stat.S_IFLNK | 0o777)
        content = zip_bytes([ZipMember(b"good.png", b"x"), link])
    else:
        header = tar_header(b"folder/link", kind=b"2" if "sym" in kind else b"1", target=target)
        content = tar_member(b"good.png", b"x") + header + TAR_END
    with pytest.raises(DataError, match="folder/link is a link that leaves the archive"):
        archive(content).find("*.png")


REFUSED = {
    "tar symbolic link": (tar_header(b"bad.png", kind=b"2", target=b"good.jpg"), "is a link"),
    "tar hard link": (tar_header(b"bad.png", kind=b"1", target=b"good.jpg"), "is a link"),
    "tar character device": (tar_header(b"bad.png", kind=b"3"), "is a device"),
    "tar block device": (tar_header(b"bad.png", kind=b"4"), "is a device"),
    "tar pipe": (tar_header(b"bad.png", kind=b"6"), "is a pipe"),
    "tar of another kind": (tar_header(b"bad.png", kind=b"V"), "is no regular file"),
    "zip link": (ZipMember(b"bad.png", b"good.jpg", mode=stat.S_IFLNK | 0o777), "is a link"),
    "zip pipe": (ZipMember(b"bad.png", mode=stat.S_IFIFO | 0o644), "is a device or pipe"),
    "zip device": (ZipMember(b"bad.png", mode=stat.S_IFCHR | 0o644), "is a device or pipe"),
    "encrypted": (ZipMember(b"bad.png", b"x" * 20, flags=1), "is encrypted"),
    "bzip2": (ZipMember(b"bad.png", b"x" * 20, method=12), r"is not read \(bzip2\)"),
    "method 77": (ZipMember(b"bad.png", b"x" * 20, method=77), r"is not read \(method 77\)"),
    "stored, of another size": (ZipMember(b"bad.png", b"xxx", size=4), "says it has 4 bytes, and has 3"),
    "an impossible ratio": (ZipMember(b"bad.png", b"x" * 99, True, size=2**20), "unpack to 1048576, which cannot be"),
    "too large": (
        ZipMember(b"bad.png", bytes(2**21), size=MAX_FILE_BYTES + 1, packed=MAX_FILE_BYTES + 1),
        "says it has 1073741825 bytes",
    ),
    "beyond the end": (ZipMember(b"bad.png", b"x", size=9999, packed=9999), "lies beyond the end of the archive"),
}


@pytest.mark.parametrize(("bad", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_refused_when_it_is_wanted(
    archive: OpenBytes, bad: ZipMember | bytes, message: str
) -> None:
    if isinstance(bad, ZipMember):
        tree = archive(zip_bytes([ZipMember(b"good.jpg", b"good"), bad]))
    else:
        tree = archive(tar_member(b"good.jpg", b"good") + bad + TAR_END)
    assert [tree.read(name) for name in tree.find("*.jpg")] == [b"good"]
    for want in (lambda: tree.find("*.png"), lambda: "bad.png" in tree, lambda: tree.read("bad.png")):
        with pytest.raises(DataError, match=rf"some\.zip: bad\.png .*{message}"):
            want()


@pytest.mark.parametrize("sparse", [tar_header(b"a.png", kind=b"S"), tar_member(
    b"pax", b"22 GNU.sparse.major=1\n", kind=b"x") + tar_member(b"a.png")])  # fmt: skip
def test_sparse_files_in_tar(archive: OpenBytes, sparse: bytes) -> None:
    with pytest.raises(DataError, match=r"sparse file a\.png"):
        archive(sparse + TAR_END).find("*.png")


# ---------------------------------------------------------------- lies and bombs


def test_lying_members_are_refused_when_they_are_read(archive: OpenBytes) -> None:
    liars = [
        ZipMember(b"more.png", b"x" * 5000, True, size=4999),
        ZipMember(b"less.png", b"x" * 5000, True, size=5001),
        ZipMember(b"crc.png", b"x" * 5000, True, crc=1),
        ZipMember(b"stored_crc.png", b"x", crc=1),
        ZipMember(b"other.png", b"x", local_name=b"another.png"),
        ZipMember(b"place.png", b"x", at=0),
        ZipMember(b"noise.png", bytes(range(255, 55, -1)), method=8, size=300),
        ZipMember(b"empty.png"),
    ]
    tree = archive(zip_bytes([*liars, ZipMember(b"good.png", b"good")]))
    assert len(tree.find("*.png")) == 9
    assert tree.read("good.png") == b"good"
    for name, message in (
        ("more", "does not unpack to the 4999 bytes"),
        ("less", "does not unpack to the 5001 bytes"),
        ("crc", "CRC-32 is wrong"),
        ("stored_crc", "CRC-32 is wrong"),
        ("other", "is not where the archive's directory says"),
        ("place", "is not where the archive's directory says"),
        ("noise", "is damaged"),
        ("empty", "is empty"),
        ("none", "No such file"),
    ):
        with pytest.raises(DataError, match=rf"some\.zip: {name}\.png .*{message}"):
            tree.read(f"{name}.png")


def test_a_bomb_costs_what_it_says_at_most(archive: OpenBytes) -> None:
    bomb = ZipMember(b"bomb.png", bytes(64 * 2**20), True, size=2**20 // 2)
    tree = archive(zip_bytes([bomb]))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="does not unpack to the 524288 bytes"):
            tree.read("bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_an_archive_in_an_archive_is_a_file(archive: OpenBytes) -> None:
    inner = zip_bytes([ZipMember(b"bomb.png", bytes(2**20), True)])
    for content in (zip_bytes([ZipMember(b"inner.zip", inner)]), tar_member(b"inner.zip", inner) + TAR_END):
        tree = archive(content)
        assert everything(tree) == {"inner.zip": inner}
        assert tree.find("**/*.png") == []


def test_many_members_are_bounded(archive: OpenBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [ZipMember(b"a.png", b"x")]
    with pytest.raises(DataError, match="says it holds 6000000 files"):
        archive(zip_bytes(few, count=6_000_000)).find("*")
    with pytest.raises(DataError, match="its directory is not where it says"):
        archive(zip_bytes(few, count=1_000_000)).find("*")
    with pytest.raises(DataError, match="its directory goes on after the 1 files that it says"):
        archive(zip_bytes([*few, ZipMember(b"b.png")], count=1)).find("*")
    directory = b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, 4, 1) + b"PK\5\6" + bytes(18)
    with pytest.raises(DataError, match=r"a directory of 1099511627776 bytes"):
        archive(b"PK\3\4" + directory + locator).find("*")
    monkeypatch.setattr(members, "MAX_MEMBERS", 99)
    with pytest.raises(DataError, match="holds over 99 files"):
        archive(tar_header(b"x") * 100 + TAR_END).find("*")
    with pytest.raises(DataError, match="holds over 99 files"):
        archive(tar_member(b"pax", b"9 path=x\n", kind=b"x") * 100 + TAR_END).find("*")


def test_a_million_empty_members_would_take_little(archive: OpenBytes) -> None:
    count = 20_000
    entries = [b"PK\1\2" + struct.pack("<6H3L5H2L", *[0] * 9, 6, *[0] * 6) + b"%06d" % n for n in range(count)]
    content = b"PK\3\4" + b"".join(entries) + b"PK\5\6" + struct.pack(
        "<4H2LH", 0, 0, count, count, sum(map(len, entries)), 4, 0)  # fmt: skip
    tree = archive(content)
    tracemalloc.start()
    try:
        assert len(tree.find("*")) == count
        assert tracemalloc.get_traced_memory()[1] < 600 * count  # 600 MB for a million, which are 52 MB on disk
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>", r"is no archive; it begins with b'<html>not fo'"),
        (b"\x1f\x8b\x08" + bytes(600), r"compressed as a whole \(gzip\)(.|\n)*unpack it"),
        (b"BZh9" + bytes(600), r"compressed as a whole \(bzip2\)"),
        (b"\xfd7zXZ\0" + bytes(600), r"compressed as a whole \(XZ\)"),
        (bytes(1024), "is no archive"),
        (b"PK\3\4" + bytes(100), "no directory at its end"),
        (b"PK\3\4PK\5\6" + struct.pack("<4H2LH", 1, 1, 0, 0, 0, 0, 0), "one of several volumes"),
        (tar_member(b"a.png", b"x"), "there is no header 1024 bytes into it"),
        (tar_member(b"a.png", b"x") + b"\1" * 512 + TAR_END, "there is no header 1024 bytes into it"),
        (tar_header(b"a.png", 10_000) + TAR_END, r"a\.png goes on after its end"),
        (tar_header(b"a.png", b"-0000000001\0") + TAR_END, "says a size of -1"),
        (tar_header(b"a.png", b"\xff" * 12) + TAR_END, "the header 0 bytes into it says"),
        (tar_header(b"pax", 2**20, kind=b"x") + TAR_END, "says a header of 1048576 bytes"),
        (tar_member(b"pax", b"99 path=x\n", kind=b"x") + TAR_END, "says a pax record"),
        (tar_member(b"pax", b"0 path=x\n", kind=b"x") + TAR_END, "says a pax record"),
        (tar_member(b"pax", b"11 size=-5\n", kind=b"x") + tar_member(b"a.png") + TAR_END, "says a size of -5"),
    ],
)
def test_what_is_no_whole_archive(archive: OpenBytes, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"some\.zip .*{message}"):
        archive(content).find("*.png")


def test_no_flipped_bit_and_no_cut_gives_wrong_content(archive: OpenBytes) -> None:
    good = zip_bytes([ZipMember(b"a.png", b"some text", True), ZipMember(b"b.png", b"more")])
    truth = {"a.png": b"some text", "b.png": b"more"}
    refused = 0
    for bit in range(0, 8 * len(good), 7):
        spoilt = bytearray(good)
        spoilt[bit // 8] ^= 1 << bit % 8
        try:
            # a file may become a folder or vanish, and its partner is then missing; it is never another file
            assert everything(archive(bytes(spoilt))).items() <= truth.items()
        except DataError:
            refused += 1
    assert refused > len(good) / 2  # of 1.1 times as many: the others are in times, versions and attributes
    for length in range(0, len(good), 3):
        with pytest.raises(DataError):
            everything(archive(good[:length]))
    packed = tar_member(b"a.png", b"some text") + TAR_END
    for bit in range(0, 8 * 512, 29):
        spoilt = bytearray(packed)
        spoilt[bit // 8] ^= 1 << bit % 8
        try:
            assert everything(archive(bytes(spoilt))) == {"a.png": b"some text"}  # such as a space for a zero
        except DataError:
            refused += 1
    assert refused > len(good) / 2 + 100
    for length in range(0, 1536, 100):
        with pytest.raises(DataError):
            everything(archive(packed[:length]))


def test_a_changed_archive_is_noticed_at_reading(archive: OpenBytes, tmp_path: Path) -> None:
    for before, after in (
        (zip_bytes([ZipMember(b"a.png", b"old")]), zip_bytes([ZipMember(b"a.png", b"new")])),
        (zip_bytes([ZipMember(b"a.png", b"old")]), zip_bytes([ZipMember(b"b.png", b"old")])),
        (tar_member(b"a.png", b"old") + TAR_END, tar_member(b"b.png", b"old") + TAR_END),
        (tar_member(b"a.png", b"old") + TAR_END, tar_member(b"a.png", b"longer") + TAR_END),
    ):
        tree = archive(before)
        assert tree.read("a.png") == b"old"
        was = tree.fingerprint()
        (tmp_path / "some.zip").write_bytes(after)
        assert tree.fingerprint() != was
        with pytest.raises(DataError, match=r"some\.zip: a\.png is (damaged|not where)"):
            tree.read("a.png")


def test_unreadable_archives(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder or archive"):
        open_tree(tmp_path / "none.zip")
    tree = ArchiveTree(tmp_path / "none.zip")
    with pytest.raises(DataError, match=r"none\.zip cannot be read: No such file"):
        tree.find("*")
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DataError, match="there is no folder or archive"):
        open_tree(tmp_path / "pipe.zip")


# ---------------------------------------------------------------- several together


def test_union(tmp_path: Path) -> None:
    images, masks, folder = tmp_path / "images.zip", tmp_path / "masks.tar", tmp_path / "folder"
    images.write_bytes(zip_bytes([ZipMember(b"i/1.png", b"image"), ZipMember(b"README", b"one")]))
    masks.write_bytes(tar_member(b"m/1.png", b"mask") + tar_member(b"README", b"two") + TAR_END)
    folder.mkdir()
    (folder / "list.txt").write_text("1")
    tree = open_tree(images, masks, folder, images)  # the same place twice is one
    assert isinstance(tree, UnionTree)
    assert sorted(tree.find("*/*.png")) == ["i/1.png", "m/1.png"]
    assert [tree.read(name) for name in ("i/1.png", "m/1.png", "list.txt")] == [b"image", b"mask", b"1"]
    assert (tree.size("m/1.png"), tree.size("none"), "none" in tree, "i/1.png" in tree) == (4, -1, False, True)
    assert tree.where("m/1.png") == f"{masks}: m/1.png"
    for want in (lambda: tree.find("README*"), lambda: tree.read("README"), lambda: "README" in tree):
        with pytest.raises(DataError, match=r"images\.zip: README and .*masks\.tar: README are the same file"):
            want()
    with pytest.raises(DataError, match=r"images\.zip \+ .*masks\.tar \+ .*folder: none cannot be read: No such file"):
        tree.read("none")
    assert tree.fingerprint() == ""  # a folder has none
    both = open_tree(images, masks)
    before = both.fingerprint()
    os.utime(masks, (1, 1))
    assert before != both.fingerprint() != ""
    part = pickle.loads(pickle.dumps(both.subset(["m/1.png"])))
    assert (part.read("m/1.png"), "i/1.png" in part, len(part.parts)) == (b"mask", False, 1)
