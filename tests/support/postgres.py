"""A private PostgreSQL server in a folder, run by somebody who is not root; or why there is none."""

import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

BINARIES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin")]
AS_ROOT = "postgres"


def binaries():
    """The folder with PostgreSQL's programs; None where they are not installed."""
    return next(
        (folder for folder in BINARIES if (folder / "initdb").exists() and (folder / "postgres").exists()), None
    )


def why_not():
    """Why no server can be started; empty when one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (Debian: postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'graftwork[postgres]')"
    if os.geteuid() == 0 and not _user():
        return f"PostgreSQL does not run as root, and there is no user {AS_ROOT}"
    return ""


def _user():
    try:
        return pwd.getpwnam(AS_ROOT)
    except KeyError:
        return None


@contextmanager
def server(folder):
    """The address of a fresh server whose socket and data lie in `folder`, a short path."""
    options = {}
    if os.geteuid() == 0:
        user = _user()
        os.chown(folder, user.pw_uid, user.pw_gid)
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def run(program, *words):
        done = subprocess.run(
            [binaries() / program, *map(str, words)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            **options,
        )
        assert done.returncode == 0, done.stderr + done.stdout

    data = Path(folder) / "data"
    run("initdb", "-D", data, "-U", "graft", "-A", "trust", "--no-sync", "-E", "UTF8")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c shared_buffers=16MB"
    run("pg_ctl", "-D", data, "-l", Path(folder) / "log", "-o", settings, "-w", "start")
    try:
        yield f"postgresql://graft@/{{}}?host={folder}"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(data, ignore_errors=True)
