# SPDX-License-Identifier: Apache-2.0
"""``crossvalidate``: a net that a search found, trained and tested on other divisions of the same data."""

from __future__ import annotations

import click

from client.commands.watch import reconnect_option
from client.completion import search_argument
from client.connection import connect
from client.crossvalidation import CAUTION, crossvalidation_document, crossvalidation_report, fold_retrainings
from client.errors import ClientError, Exit
from client.output import note, write, write_document
from client.retraining import find_nets, get_search, require_same_data, retrain
from client.settings import Output, Settings, output_option
from nas.config import FEWEST_FOLDS, MOST_FOLDS

_EPILOG = """\b
Examples:
  nas-client crossvalidate 3f2a9c01b7de --folds 5
  nas-client crossvalidate 3f2a9c01b7de --folds 10 --net smallest --output json
"""


@click.command("crossvalidate", epilog=_EPILOG)
@search_argument
@click.option(
    "--folds",
    required=True,
    type=click.IntRange(FEWEST_FOLDS, MOST_FOLDS),
    metavar="K",
    help="How many parts the images are dealt into.",
)
@click.option("--net", type=click.Choice(["winner", "smallest"]), default="winner", help="Which one. [default: winner]")
@reconnect_option
@output_option
@click.pass_obj
def command(settings: Settings, search: str, folds: int, net: str, reconnect: float) -> None:
    """Test a net of a search on K divisions of its data.

    Patients, or images where none are known, are dealt into K parts. Each part is the test part once, of a search that
    trains the net on the others, under the settings and seed of the search that found it. Only the weights are new: the
    net was chosen by a search that has seen most of these images, so this replaces no independent test set. Asking
    again, also after Ctrl-C, starts nothing twice.
    """
    with connect(settings) as connection:
        found = get_search(connection, search)
        nets = find_nets(connection, found)
        if net not in nets:
            raise ClientError(f"Search {search} has no {net} child beside its winner; leave out --net.", Exit.USAGE)
        wanted = list(fold_retrainings(found, nets[net], folds))
        for retraining in wanted:
            require_same_data(connection, found, retraining, same_division=False)
        trained = retrain(connection, wanted, reconnect_seconds=reconnect)
    if settings.output is Output.TEXT:
        write(crossvalidation_report(trained))
        note(f"Each row has a test part of its own; intervals hold with 95 % confidence within it. {CAUTION}")
    else:
        document = crossvalidation_document(found, net, nets[net], trained)
        write_document(document, is_compact=settings.output is Output.JSONL)
