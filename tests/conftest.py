"""What all tests share."""

import signal

# A runner in the background may ignore Ctrl-C, and the processes that tests start and interrupt
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
