"""Takes the SQL files along: there is one copy of them, in the project's own sql/."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":
            # read where they stand
            return
        root = Path(self.root)
        # a source distribution has them beside the package
        files = next((place for place in (root / "sql", root.parent / "sql") if place.is_dir()), None)
        if files is None:
            raise FileNotFoundError(f"no sql directory in {root} or beside it: build in a whole checkout")
        target = "trailgate_spark/sql" if self.target_name == "wheel" else "sql"
        for name in ("schema.json", "views", "reports"):
            build_data["force_include"][str(files / name)] = f"{target}/{name}"
