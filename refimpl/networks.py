"""The architectures by the name the command line gives them."""

from . import fcnn

NETWORKS = {"fcnn": fcnn}
