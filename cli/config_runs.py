"""What a change of the configuration file means for the gateway that runs, by what that took in.

Rule: the file alone tells nothing of it. It may have lost before what the gateway works with, and
then the next honest word in it would be the first of another gateway.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from cli.config_words import Running, running_gateway
from stores.config.accident import looks_like_accident
from stores.config.edit import Edit
from stores.config.in_use import config_in_use, taken_in
from stores.config.load import LoadedConfig
from stores.config.plan import ReloadPlan, plan
from stores.errors import ConfigError, UserFacingError
from stores.paths import Paths
from stores.running import read_running


@frozen
class Runs:
    """The gateway that runs here, seen before a change.

    Args:
        running: None if none can be seen.
        took_in: What it works with, None if that is not known.
        lost: What is wrong with the file if the gateway takes it for an accident.
    """

    running: Running | None
    took_in: LoadedConfig | None
    lost: UserFacingError | None

    def plan_of(self, edit: Edit) -> ReloadPlan | None:
        """Return what a change means for the gateway, None if that cannot be told."""
        before = self.took_in or edit.before
        fixed = self.running.fixed if self.running is not None else {}
        if before is None:
            return None
        return plan(before.config, edit.loaded.config, fixed=fixed)

    def accident_in(self, edit: Edit) -> str | None:
        """Return why the running gateway would not believe a change, None if it would."""
        if self.running is None or self.running.config_path not in (None, str(edit.loaded.path)):
            return None
        before = self.took_in or edit.before
        return None if before is None else looks_like_accident(before, edit.loaded)

    def refuse_while_lost(self, loaded: LoadedConfig) -> None:
        """Refuse a text that leaves the file as lost as it is.

        Raises:
            ConfigError: the file had lost what the gateway works with, and would not have it again.
        """
        if self.lost is None or self.took_in is None:
            return
        still = looks_like_accident(self.took_in, loaded)
        if still is not None:
            why = still.replace(str(loaded.path), "the file")
            raise ConfigError(
                f"{self.lost.problem}; nothing was written, for with that change too {why}",
                remedy=self.lost.remedy,
            )


def what_runs(paths: Paths, env: Mapping[str, str]) -> Runs:
    """Look at the gateway that runs here, and at what it works with."""
    running = read_running(paths.state_dir)
    found = config_in_use(paths, env, running)
    return Runs(
        running_gateway(paths),
        taken_in(paths, env, running),
        found.problem if found.lost else None,
    )
