"""The reference page is the model's own words."""

from pathlib import Path

from stores.config.model import Config, keys_of
from stores.config.reference import main, render

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "config.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == render(), (
        "make it anew: python -m stores.config.reference docs/reference/config.md"
    )


def test_the_page_is_written_to_the_file_named(tmp_path):
    assert main([str(tmp_path / "config.md")]) == 0

    assert (tmp_path / "config.md").read_text() == render()


def test_every_key_is_on_the_page():
    def walk(record):
        for key, attribute in keys_of(record).items():
            below = attribute.metadata.get("section") or attribute.metadata.get("records")
            if below:
                walk(below)
            else:
                assert f"| `{key}` |" in page

    page = render()
    walk(Config)
