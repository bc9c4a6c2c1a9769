"""Where a run's numbers go while it runs: W&B, and beside it TensorBoard or plain CSV. The records stay the truth.

This package alone imports wandb, and only where it is used. Free of torch, so that the analysis can import it.
"""

from scaling.tracking.check import TrackingError, check_tracking, closing_lines
from scaling.tracking.track import TRACKERS, Tracker, add_to_agents_run, track

__all__ = ["TRACKERS", "Tracker", "TrackingError", "add_to_agents_run", "check_tracking", "closing_lines", "track"]
