"""Codes of the library as exceptions: OSError with its errno for sockets, Error for the node."""
from . import _lib


class Error(Exception):
    """A call that the node refused. `code`: ZTS_ERR_*."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class ServiceError(Error):
    """No node runs; or one runs and this has to come before its start."""


_TEXTS = {-2: "no node runs, or it cannot do this now", -3: "invalid argument", -4: "there is no such thing",
          -5: "internal failure"}


def control_error(code, what):
    text = "%s: %s" % (what, _TEXTS.get(code, "error %d" % code))
    return ValueError(text) if code == -3 else (ServiceError if code == -2 else Error)(code, text)


def check(code, what):
    """A node function's answer, or its exception."""
    if code < 0:
        raise control_error(code, what)
    return code


def socket_error(code):
    """The exception for a socket function that returned `code`; Python makes it ConnectionRefusedError, ..."""
    if code == -1:
        number = _lib.errno()
        return OSError(number, _lib.lib.zts_strerror(number).decode())
    return control_error(code, "socket")
