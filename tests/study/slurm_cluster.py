"""A real SLURM of two nodes on this machine, as an ordinary user's processes in a folder of its own.

The nodes `n1` and `n2` are two slurmd of one host; partition `high` preempts partition `low`. There is no accounting,
as on many clusters, and no cgroup. Times are short (a node is given up after seconds), and `cred_expire=5` lets a
requeued job start again at once instead of after two minutes.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from needed import PATH, need
from polling import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo", "setpriv")
NODES = ("n1", "n2")

_CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=10000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=600
SlurmdTimeout=15
InactiveLimit=0
BatchStartTimeout=10
MessageTimeout=10
MaxArraySize=4
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
TopologyPlugin=topology/none
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=low  Nodes=n1,n2 Default=YES PriorityTier=1  PreemptMode=REQUEUE GraceTime=20 MaxTime=60 State=UP
PartitionName=high Nodes=n1,n2 Default=NO  PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
"""


class SlurmCluster:
    """Daemons and what tests do to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        with contextlib.ExitStack() as stack:  # all at once, so that no two are the same
            sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            ports = [one.getsockname()[1] for one in sockets]
        conf = _CONF.format(folder=self.folder, user=getpass.getuser(), ports=ports)
        (self.folder / "slurm.conf").write_text(conf)
        files = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munged.pid"}
        files |= {"log-file": self.folder / "munged.log", "seed-file": self.folder / "munged.seed"}
        self._daemon("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items()))
        wait_until(files["socket"].exists, "munge's socket")
        self._daemon("slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)

    def start_node(self, node: str) -> None:
        self._daemon("slurmd", "-D", "-N", node, name=node)
        wait_until(lambda: self.node_state(node) == "idle", f"node {node} is idle; {self.tell()}")

    def kill_node(self, node: str) -> None:
        """As when its power goes: the daemon, what it started, and their children, without a word."""
        self._daemons.pop(node).kill()
        for process in self.processes(node):
            with contextlib.suppress(psutil.Error):
                parent = process.parent()
                process.kill()
                if parent and parent.name().startswith("slurmstepd"):
                    parent.kill()

    def processes(self, node: str | None = None) -> Iterator[psutil.Process]:
        """Of jobs of this cluster: batch scripts, srun and tasks."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                here = environment.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if here and "SLURMD_NODENAME" in environment and node in (None, environment["SLURMD_NODENAME"]):
                    yield process

    def command(self, *arguments: str) -> str:
        """Output of one of SLURM's commands."""
        done = subprocess.run(
            arguments, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def node_state(self, node: str) -> str:
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-n", node, "-p", "low", "-o", "%T"], env=self.environment, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    def tell(self) -> str:
        """The ends of the daemons' logs, for a test that failed."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}:\n" + "\n".join(log.read_text().splitlines()[-8:]) for log in logs)

    def clear(self) -> None:
        """End all jobs."""
        if self.command("squeue", "--noheader"):
            self.command("scancel", "--me")
            wait_until(lambda: not self.command("squeue", "--noheader"), "the queue is empty")

    def stop(self) -> None:
        for process in list(self.processes()):
            with contextlib.suppress(psutil.Error):
                process.kill()
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def _daemon(self, program: str, *arguments: str, name: str = "") -> None:
        """It ends with this process, even if that is killed."""
        path = shutil.which(program, path=PATH)
        assert path
        log = (self.folder / f"{name or program}.out").open("ab")
        self._daemons[name or program] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", path, *arguments], env=self.environment, stdout=log, stderr=log
        )


@contextlib.contextmanager
def slurm_cluster() -> Iterator[SlurmCluster]:
    need("SLURM", PROGRAMS)
    folder = Path(tempfile.mkdtemp(prefix="segrank-slurm-"))  # short: it holds a socket
    folder.chmod(0o755)
    cluster = SlurmCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
