"""The BLAS that NumPy multiplies with."""

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info


def numpy_kernel() -> str | None:
    """The kernel of the OpenBLAS that NumPy multiplies with, `SkylakeX` say; SciPy brings another OpenBLAS.

    None where NumPy's BLAS does not tell, or cannot be told from others.
    """
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    bundled = str(Path(np.__file__).resolve().parent)  # in numpy.libs beside it, or in numpy/.dylibs
    own = [pool for pool in pools if str(Path(pool["filepath"]).resolve()).startswith(bundled)]
    own = own or (pools if len(pools) == 1 else [])
    return own[0].get("architecture") if own else None
