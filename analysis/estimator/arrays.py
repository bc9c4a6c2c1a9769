"""The one kind of array that the estimator works with."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
