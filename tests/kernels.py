"""A kernel that ends before its first cell is started again.

Jupyter looks for free ports, lets go of them, and the kernel takes them half a second later. On a busy machine
another program may hold one by then: the kernel ends with "Address already in use", and no cell has run.
"""

DIED = "Kernel died before replying"


def start_again(start, attempts=3):
    """What start() returns; where its kernel died before it answered, start() is called again, at most so often."""
    for left in reversed(range(attempts)):
        try:
            return start()
        except RuntimeError as error:
            if DIED not in str(error) or not left:
                raise
