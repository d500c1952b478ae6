"""Import torchvision even where its compiled operators do not fit the installed torch.

PyPI's Linux wheels of torchvision are built for CUDA. Beside a CPU build of torch their library does not
load; torchvision survives that on purpose (`torchvision.extension`), but its `_meta_registrations` then
attaches fake kernels to `torchvision::nms` and `torchvision::qnms`, which nobody has declared, and
`import torchvision` (so `import timm` and `import torchmetrics`) ends in "operator torchvision::nms does
not exist". Declaring the two is enough; segrank calls neither. Where the compiled operators load,
importing this module does nothing more.

Every module of segrank that imports timm or torchvision imports this one first.
"""

from __future__ import annotations

import sys

import torch

_declared: torch.library.Library | None = None  # the declarations last as long as this object

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    _declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for _name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, _name):
            _declared.define(  # type: ignore[no-untyped-call]
                f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    # the failed import leaves submodules behind that the next one would not attach to their package
    for _name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[_name]
    import torchvision

__all__ = ["torchvision"]
