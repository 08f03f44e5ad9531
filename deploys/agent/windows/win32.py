"""The only lines of the agent that need Windows itself: `ctypes`, `winreg`, and starting its programs.

No decision is made here; what Windows refuses comes out as OSError with `winerror`. The stand-in of the tests has the
same functions. Only for 64-bit Windows; the few bytes that Windows hands out stay ours: the agent lives shortly.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import struct
from ctypes import byref, c_int, c_ubyte, c_uint32, c_uint64, c_void_p, c_wchar, c_wchar_p, sizeof
from typing import Any, Iterator, Optional, Sequence

from ..programs import Ended, ended

_c: Any = ctypes  # has more names on Windows than elsewhere
winreg, msvcrt = map(importlib.import_module, ("winreg", "msvcrt"))
kernel32 = _c.WinDLL("kernel32", use_last_error=True)
advapi32 = _c.WinDLL("advapi32", use_last_error=True)
for _name in ("CreateFileW", "CreateJobObjectW", "OpenJobObjectW", "OpenProcess", "CreateToolhelp32Snapshot"):
    getattr(kernel32, _name).restype = c_void_p  # handles are as wide as pointers

OWNER, DACL, PROTECTED, UNPROTECTED, ALREADY_EXISTS = 1, 4, 0x80000000, 0x20000000, 183
_held: list[c_void_p] = []  # the job this process is in: open as long as it lives


def _must(done: Any, code: int = 0) -> None:
    if not done:
        raise _c.WinError(code or _c.get_last_error())


def run(program: str, arguments: Sequence[str], timeout_s: float = 120, quiet: bool = False) -> Ended:
    """As `programs.ended`, one of Windows' own programs by name. Without a window, its code page is the OEM one."""
    place = program if "\\" in program else rf"{os.environ['SYSTEMROOT']}\System32\{program}"
    return ended([place, *arguments], timeout_s, quiet)


def text(data: bytes) -> str:
    """What a program said, for people only: nothing is decided by it."""
    return data.decode("oem", "replace")


# -- registry: keys as "HKLM\\SOFTWARE\\...", values as (type number, data)
def _key(key: str, access: int) -> Any:
    root, _, rest = key.partition("\\")
    hives = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER, "HKU": winreg.HKEY_USERS}
    opened = winreg.OpenKeyEx if access == winreg.KEY_READ else winreg.CreateKeyEx
    return opened(hives[root], rest, 0, access | winreg.KEY_WOW64_64KEY)


def values(key: str) -> Optional[dict[str, tuple[int, Any]]]:
    """{name: (type, data)} unexpanded, names as first written; None when there is no such key."""
    listed = _listed(key, "EnumValue", 1)
    return None if listed is None else {name: (kind, data) for name, data, kind in listed}


def subkeys(key: str) -> list[str]:
    return _listed(key, "EnumKey", 0) or []


def _listed(key: str, what: str, count: int) -> Optional[list[Any]]:
    with contextlib.suppress(FileNotFoundError), _key(key, winreg.KEY_READ) as opened:
        return [getattr(winreg, what)(opened, index) for index in range(winreg.QueryInfoKey(opened)[count])]
    return None


def set_value(key: str, name: str, kind: Optional[int], data: Any = None) -> None:
    """Without a kind it is deleted."""
    with _key(key, winreg.KEY_SET_VALUE) as opened:
        winreg.DeleteValue(opened, name) if kind is None else winreg.SetValueEx(opened, name, 0, kind, data)


def broadcast() -> None:
    """Tell this session's programs that the environment changed."""
    _c.WinDLL("user32").SendMessageTimeoutW(c_void_p(0xFFFF), 0x1A, None, c_wchar_p("Environment"), 2, 5000, None)


@contextlib.contextmanager
def opened(path: str, rights: int) -> Iterator[c_void_p]:
    """A handle of the file, directory or link of that name, no link followed. It keeps nobody from anything."""
    handle = c_void_p(kernel32.CreateFileW(c_wchar_p(path), c_uint32(rights), 7, None, 3, 0x02200000, None))
    _must(handle.value != c_void_p(-1).value)
    try:
        yield handle
    finally:
        kernel32.CloseHandle(handle)


def told(opened: Any) -> tuple[int, str]:
    """(reparse tag or 0, where it really is with every link on the way followed) of a handle or of Python's file."""
    handle = opened if isinstance(opened, c_void_p) else c_void_p(msvcrt.get_osfhandle(opened.fileno()))
    tag, said = (c_uint32 * 2)(), (c_wchar * 32768)()
    _must(kernel32.GetFileInformationByHandleEx(handle, 9, tag, sizeof(tag)))
    _must(kernel32.GetFinalPathNameByHandleW(handle, said, len(said), 0))
    return tag[1] if tag[0] & 0x400 else 0, said.value


def delete(handle: c_void_p) -> None:
    _must(kernel32.SetFileInformationByHandle(handle, 4, byref(c_ubyte(1)), 1))


def security(handle: c_void_p) -> str:
    """Owner and DACL, as SDDL."""
    found, said = c_void_p(), c_wchar_p()
    _must(not (code := advapi32.GetSecurityInfo(handle, 1, OWNER | DACL, *[None] * 4, byref(found))), code)
    _must(advapi32.ConvertSecurityDescriptorToStringSecurityDescriptorW(found, 1, OWNER | DACL, byref(said), None))
    return str(said.value)


def set_security(handle: c_void_p, sddl: str, inherit: bool) -> None:
    """Give it this owner and DACL, and what comes from above or none of that; what lies below inherits anew."""
    made, owner, dacl, flag, present = c_void_p(), c_void_p(), c_void_p(), c_int(), c_int()
    _must(advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW(c_wchar_p(sddl), 1, byref(made), None))
    advapi32.GetSecurityDescriptorOwner(made, byref(owner), byref(flag))
    advapi32.GetSecurityDescriptorDacl(made, byref(present), byref(dacl), byref(flag))
    what = c_uint32(OWNER | DACL | (UNPROTECTED if inherit else PROTECTED))
    _must(not (code := advapi32.SetSecurityInfo(handle, 1, what, owner, None, dacl, None)), code)


def account(name: str) -> tuple[str, int]:
    """(SID, kind: 3 for a whole domain) of an account's name. Raises OSError 1332 when there is none."""
    sid, domain, said, size, kind = (c_ubyte * 256)(), (c_wchar * 256)(), c_wchar_p(), c_uint32(256), c_int()
    rest = (byref(size), domain, byref(c_uint32(256)), byref(kind))
    _must(advapi32.LookupAccountNameW(None, c_wchar_p(name), sid, *rest))
    _must(advapi32.ConvertSidToStringSidW(sid, byref(said)))
    return str(said.value), kind.value


def name_of(sid: str) -> str:
    """The account's name without its domain, of a SID or its letters in SDDL. Raises OSError 1332 for none."""
    binary, name, domain, size = c_void_p(), (c_wchar * 256)(), (c_wchar * 256)(), c_uint32(256)
    rest = (byref(size), domain, byref(c_uint32(256)), byref(c_int()))
    _must(advapi32.ConvertStringSidToSidW(c_wchar_p(sid), byref(binary)))
    _must(advapi32.LookupAccountSidW(None, binary, name, *rest))
    return name.value


def processes() -> dict[int, tuple[int, str]]:
    """{pid: (parent's pid, program's file name)}. A parent may be gone and its number in other use."""
    snapshot = c_void_p(kernel32.CreateToolhelp32Snapshot(2, 0))
    entry, found = ctypes.create_string_buffer(struct.pack("<I", 568), 568), {}  # PROCESSENTRY32W
    step = kernel32.Process32FirstW
    while step(snapshot, entry):
        step = kernel32.Process32NextW
        pid, parent = struct.unpack_from("<8xI20xI", entry)
        found[pid] = (parent, entry.raw[44:564].decode("utf-16-le").split("\0")[0])
    kernel32.CloseHandle(snapshot)
    return found


def created(pid: int) -> int:
    """When that process began, in 100 ns since 1601; 0 when none runs under that number."""
    process = c_void_p(kernel32.OpenProcess(0x1000 | 0x100000, False, pid))
    times = [c_uint64() for _ in range(4)]
    alive = kernel32.WaitForSingleObject(process, 0) == 258 and kernel32.GetProcessTimes(process, *map(byref, times))
    kernel32.CloseHandle(process)
    return times[0].value if alive else 0


def terminate(pid: int) -> None:
    process = c_void_p(kernel32.OpenProcess(1, False, pid))
    _must(process and kernel32.TerminateProcess(process, 1))
    kernel32.CloseHandle(process)


def enter_job(name: str) -> None:
    """Put this process, and with it all that it will start, into a new job that ends with it. Raises OSError 183."""
    descriptor = c_void_p()
    sddl = c_wchar_p("D:(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)")
    advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, 1, byref(descriptor), None)
    attributes = ctypes.create_string_buffer(struct.pack("<I4xQI4x", 24, descriptor.value or 0, 0), 24)
    job = c_void_p(kernel32.CreateJobObjectW(attributes, c_wchar_p("Global\\" + name)))
    _must(job and _c.get_last_error() != ALREADY_EXISTS)
    limits = ctypes.create_string_buffer(struct.pack("<16xI", 0x2000), 144)  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    _must(kernel32.SetInformationJobObject(job, 9, limits, sizeof(limits)))
    _must(kernel32.AssignProcessToJobObject(job, c_void_p(kernel32.GetCurrentProcess())))
    _held.append(job)


def job_processes(name: str) -> list[int]:
    """The processes in that job; none when there is no such job."""
    job = c_void_p(kernel32.OpenJobObjectW(4, False, c_wchar_p("Global\\" + name)))
    if not job:
        return []
    listed = ctypes.create_string_buffer(8 + 8 * 1000)
    kernel32.QueryInformationJobObject(job, 3, listed, sizeof(listed), None)
    kernel32.CloseHandle(job)
    return list(struct.unpack_from(f"<{struct.unpack_from('<4xI', listed)[0]}Q", listed, 8))


def end_job(name: str) -> None:
    """End every process in that job at once; nothing when there is no such job."""
    if job := kernel32.OpenJobObjectW(8, False, c_wchar_p("Global\\" + name)):
        kernel32.TerminateJobObject(c_void_p(job), 1)
        kernel32.CloseHandle(c_void_p(job))
