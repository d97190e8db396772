"""A run that is interrupted, or takes too long, ends through its blocks, which end the processes that they began."""

import signal

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


def bounded(seconds, end):
    """Calls `end`, which raises, with the reason, when the time is over or a signal comes. No further signal
    keeps the blocks from their work: one that a whole group gets comes a second time, from make."""

    def once(number, _):
        for each in NUMBERS:
            signal.signal(each, signal.SIG_IGN)
        end(f"ended by {signal.Signals(number).name}")

    for number in NUMBERS:
        signal.signal(number, once)
    signal.alarm(seconds)
