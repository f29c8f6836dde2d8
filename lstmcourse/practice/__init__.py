"""What the learner does: predictions before a result (`compare`)."""

from lstmcourse.practice.predictions import compare

__all__ = ["compare"]
