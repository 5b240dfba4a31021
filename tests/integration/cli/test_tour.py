"""The main job, as a user meets it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from de_classes.cli.tour.options import TourOptions
from de_classes.cli.tour.state import keep, settle
from de_classes.pipelines import ArrowSource, Pipeline
from de_classes.storage.objects import Dataset, DatasetDestination, LocalStore
from de_classes.testing.faults import fault_environment
from tests.integration.cli.conftest import ROOT, Tour, rows, wait_for

if TYPE_CHECKING:
    from de_classes.testing.s3 import S3Server

LOADED = ("shop_to_lake", "lake_to_warehouse", "lines_to_revenue")


def test_takes_everything_once_and_then_only_what_is_new(tour: Tour) -> None:
    """The first tour moves the shop, the second nothing, and after a day only that day's changes; proved each time."""
    first = rows(tour.result("--orders", "500"))
    assert first["shop_to_lake"] == first["lake_to_warehouse"] > 500
    second = rows(tour.result())
    assert [second[name] for name in LOADED] == [0, 0, 0]
    third = tour.result("--days", "2")
    assert 0 < rows(third)["shop_to_lake"] < 100
    assert third["shop"] == {"orders": 500, "seed": 1, "day": 2}
    assert third["proof"]["orders"]["warehouse"]["rows"] > 500


def test_survives_the_troubles_of_the_api(tour: Tour) -> None:
    """Requests that meet trouble are tried again, and the report says how often."""
    result = tour.result("--orders", "30000")
    assert result["pipelines"][0]["retries"] > 0


def test_with_nothing_given_it_starts_everything_itself(tmp_path: Path) -> None:
    """Without any server it brings a database, tells where things lie, and its three commands show them."""
    tour = Tour(tmp_path / "a 'folder' with spaces")
    told = tour.run("--orders", "300", cwd=tmp_path).stdout
    assert "shop = lake = warehouse = mirror" in told
    look_at(tour.result()["look"])


@pytest.mark.parametrize("password", ["", ":hush"])
def test_the_commands_work_from_anywhere(tmp_path: Path, postgres_url: str, password: str) -> None:
    """Given a database and a relative folder, the commands hold when pasted elsewhere; a password is in no file."""
    url = postgres_url.replace("postgres@", f"postgres{password}@")
    tour = Tour(Path("tour"), ["--postgres-url", url, "--store-url", "my store"])
    told = tour.run("--orders", "300", cwd=tmp_path).stdout
    assert ("export DE_CLASSES_POSTGRES_URL='postgresql://postgres:***@" in told) == bool(password)
    commands = [line.strip() for line in told.splitlines() if "/look/" in line]
    look_at(commands, {"DE_CLASSES_POSTGRES_URL": url} if password else {})
    assert not any("hush" in file.read_text() for file in (tmp_path / "tour" / "look").iterdir())


def look_at(commands: list[str], env: Mapping[str, str] | None = None) -> None:
    """Paste the three commands in another folder; each must show something."""
    assert len(commands) == 3
    env = {**os.environ, **(env or {})}
    for command in commands:
        looked = subprocess.run(
            command, shell=True, cwd="/", env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert looked.returncode == 0, looked.stderr
        assert looked.stdout.strip() not in {"", "[]", "None"}


def test_works_on_s3(tmp_path: Path, postgres_url: str, s3_server: S3Server) -> None:
    """The same tour with its lake and mirror in a bucket."""
    store = s3_server.store("tour")
    env = {
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
    }
    tour = Tour(tmp_path / "tour", ["--postgres-url", postgres_url, "--store-url", "s3://tour/of/mine"], env)
    tour.result("--orders", "300")
    tour.result("--days", "1")
    assert any(info.key.startswith("of/mine/de-classes-tour/lake/orders/_commits/") for info in store.list())


def test_fresh_forgets_the_shop_and_what_was_moved(tour: Tour) -> None:
    """With --fresh another shop takes the place of the old one."""
    tour.result("--orders", "200")
    result = tour.result("--orders", "300", "--seed", "9", "--fresh")
    assert result["shop"] == {"orders": 300, "seed": 9, "day": 0}
    assert result["proof"]["orders"]["mirror"]["rows"] == 300


def test_fresh_that_was_killed_is_finished_by_the_next_tour(tour: Tour) -> None:
    """When a tour dies between taking another shop and forgetting the old one, the next one forgets it."""
    tour.result("--orders", "200")
    keep(tour.folder, settle(TourOptions(tour.folder, orders=300, fresh=True)))
    assert tour.result()["proof"]["orders"]["mirror"]["rows"] == 300


def test_a_row_that_is_twice_in_the_lake_breaks_the_proof(tour: Tour) -> None:
    """The proof looks at every version of every row, not only at the latest."""
    tour.result("--orders", "200")
    store = LocalStore(tour.folder / "store")
    lake = DatasetDestination(store, "lake")
    Pipeline("meddler", ArrowSource({"orders": Dataset(store, "lake/orders")}), lake).run()
    assert "came twice" in tour.run(expect=1).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--orders", "0"], "--orders 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--days", "-1"], "--days -1"),
        (["--days", "100000000"], "up to day 365"),
        (["--postgres-url", ""], "--postgres-url is empty"),
        (["--store-url", ""], "--store-url is empty"),
        (["--store-url", str(ROOT / "Makefile")], "it is a file, not a folder"),
        (["--store-url", "/dev/null/store"], "Not a directory"),
        (["--orders", "many"], "'--orders': Input should be a valid integer"),
        (["--order", "5"], "--order"),
        (["--store-url", "ftp://somewhere"], "ftp://somewhere"),
    ],
)
def test_a_mistake_of_the_user_ends_with_2(tmp_path: Path, arguments: list[str], told: str) -> None:
    """What cannot be is said in one message, without a traceback, before anything is moved."""
    done = Tour(tmp_path / "tour").run(*arguments, expect=2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_another_shop_in_the_same_folder_is_refused(tour: Tour) -> None:
    """The folder keeps its shop; asking for another one says how to go on or to begin anew."""
    tour.result("--orders", "200")
    told = tour.run("--orders", "201", "--seed", "2", expect=2).stderr
    assert "--orders is 200 there, not 201; --seed is 1 there, not 2" in told
    assert "--fresh" in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://someone:hush@127.0.0.1:1/shop", "127.0.0.1"),
        ("postgresql://someone:hush@no-such-host.invalid/shop", "no-such-host.invalid"),
    ],
)
def test_a_database_that_is_not_there_ends_with_1(tmp_path: Path, url: str, told: str) -> None:
    """A server that cannot be reached is one clear error that names it and not the password."""
    done = Tour(tmp_path / "tour", ["--postgres-url", url]).run(expect=1)
    assert told in done.stderr
    assert "hush" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_bucket_that_is_not_there_ends_with_1(tmp_path: Path, postgres_url: str, s3_server: S3Server) -> None:
    """A missing bucket is one clear error, and nothing was moved."""
    env = {
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
    }
    options = ["--postgres-url", postgres_url, "--store-url", "s3://no-such-bucket/tour"]
    done = Tour(tmp_path / "tour", options, env).run(expect=1)
    assert "no-such-bucket" in done.stderr
    assert "there is no such bucket" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_tours_in_one_folder_do_not_meet(tour: Tour) -> None:
    """While one tour is under way, a second in the same folder is refused."""
    log = tour.folder.parent / "reached"
    env = {**os.environ, **fault_environment(log=log)}
    with subprocess.Popen(tour.command("--orders", "20000"), env=env, stdout=-3, stderr=-3) as running:
        wait_for(log, "api.page.read")
        assert "is running already" in tour.run(expect=2).stderr
        assert running.wait(120) == 0


def test_help_shows_examples(tmp_path: Path) -> None:
    """The help names every option and gives commands to paste."""
    told = Tour(tmp_path / "tour").run("--help").stdout
    for option in ("--orders", "--seed", "--days", "--postgres-url", "--store-url", "--fresh", "--json"):
        assert option in told
    assert "python src/main.py --days 1" in told


@pytest.mark.slow
def test_a_newcomer_runs_it_from_a_fresh_clone(tmp_path: Path) -> None:
    """Clone, `make run`: with nothing but Python, git and make, the tour ends with its proof."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    ours = {"VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"}
    plain = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        ["make", "run", "ARGS=--orders 300"],
        cwd=clone,
        env=plain,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shop = lake = warehouse = mirror" in done.stdout
