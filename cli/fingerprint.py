"""`openclaw gateway fingerprint`: what to pin, read from the certificate itself."""

from __future__ import annotations

import click

from cli.output import json_text, note, say
from cli.place import place
from stores.errors import ConfigError
from stores.fingerprint import in_pairs


@click.command("fingerprint")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def fingerprint(*, as_json: bool) -> None:
    """Print the fingerprint of this machine's gateway's certificate; no gateway has to run."""
    from stores.certificate import certificate_files, day_of, read_certificate  # late
    from stores.config.load import load_config  # late: the help needs neither

    here = place()
    loaded = load_config(here.paths, here.env)
    if not loaded.config.gateway.tls.enabled:
        raise ConfigError(
            "gateway.tls.enabled is false: the gateway of this machine has no certificate",
            remedy="let it encrypt with `openclaw config set gateway.tls.enabled true`, then "
            "`openclaw gateway restart`",
        )
    files = certificate_files(loaded, here.env, here.paths.state_dir)
    if files.own and not files.cert.exists():
        raise ConfigError(
            f"{files.cert} is not there yet: the gateway makes it when it starts",
            remedy="start it with `openclaw gateway run`",
        )
    found = read_certificate(files)
    if as_json:
        say(
            json_text(
                {
                    "fingerprint": f"sha256:{found.fingerprint}",
                    "path": str(files.cert),
                    "selfSigned": found.self_signed,
                    "notBeforeMs": found.not_before_ms,
                    "notAfterMs": found.not_after_ms,
                    "names": list(found.names),
                }
            )
        )
        return
    kind = "self-signed" if found.self_signed else "signed by an authority"
    say(f"sha256 {in_pairs(found.fingerprint)}")
    note(f"{files.cert}: {kind}, until {day_of(found.not_after_ms)}")
    note(
        "Pin it on the machine that calls: `openclaw config set gateway.remote.tlsFingerprint "
        f"sha256:{found.fingerprint}`"
    )
