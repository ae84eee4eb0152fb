"""Threads that shall wait in a call before something happens to it."""
import time


def until_asleep(threads):
    """Until all of them wait in the kernel, and have done so for half a second."""
    def state(t):
        with open(f'/proc/self/task/{t.native_id}/stat') as f:
            fields = f.read().rsplit(') ', 1)[1].split()
        return fields[0], fields[11], fields[12]  # what it does, and its time on processors
    seen, since, end = None, 0, time.monotonic() + 60
    while time.monotonic() < end:
        now = [state(t) for t in threads]
        if now != seen or any(s[0] != 'S' for s in now):
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > 0.5:
            return
        time.sleep(0.05)
