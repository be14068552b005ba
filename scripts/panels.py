# SPDX-License-Identifier: Apache-2.0
"""What the Grafana dashboards show: every panel with its queries, as data.

A query names metrics of ``docs/metrics.md``; ``{}`` stands for the choice of namespace and pod that a dashboard offers.
"""

from __future__ import annotations

from dataclasses import dataclass

CHOICE = '{namespace=~"$namespace",pod=~"$pod"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression.

    Attributes:
        text: PromQL.
        legend: name of its series, with Grafana's ``{{label}}``; empty takes the name of the panel.
    """

    text: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        about: what to read from it.
        unit: Grafana's word for the unit.
        queries: what it draws.
        is_figure: a single figure instead of a curve.
        needs_gpu: whether there is nothing to show without one.
    """

    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    is_figure: bool = False
    needs_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    about: str
    panels: tuple[Panel, ...]


def curve(title: str, unit: str, about: str, *queries: tuple[str, str], needs_gpu: bool = False) -> Panel:
    """A panel of curves over time."""
    made = tuple(Query(text=_choose(text), legend=legend) for text, legend in queries)
    return Panel(title=title, about=about, unit=unit, queries=made, needs_gpu=needs_gpu)


def figure(title: str, unit: str, about: str, text: str) -> Panel:
    """A panel of one figure."""
    return Panel(title=title, about=about, unit=unit, queries=(Query(text=_choose(text)),), is_figure=True)


def _choose(text: str) -> str:
    return text.replace("{}", CHOICE).replace("{,", CHOICE[:-1] + ",")


def quantile(share: float, metric: str, by: str = "") -> str:
    """A quantile of a histogram over the usual window."""
    group = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({group}) (rate({metric}_bucket{{}}[$__rate_interval])))"


SEARCHES = Board(
    uid="nas-searches",
    title="NAS: progress of searches",
    about="How far the searches are and what they have found.",
    panels=(
        figure("Running", "short", "Searches that run now.", 'sum(nas_searches{,state="running"})'),
        figure(
            "Succeeded", "short", "Searches in the journal that succeeded.", 'sum(nas_searches{,state="succeeded"})'
        ),
        figure("Failed", "short", "Searches in the journal that failed.", 'sum(nas_searches{,state="failed"})'),
        figure("Iteration", "short", "Highest iteration of a running search.", "max(nas_iteration{})"),
        figure("Best accuracy", "percentunit", "On the validation part.", "max(nas_best_accuracy_ratio{})"),
        figure("Smallest net", "short", "Parameters of the smallest trained child.", "min(nas_smallest_parameters{})"),
        curve(
            *(
                "Accuracy",
                "percentunit",
                "The best child and the smallest one; they are the parents of what comes next.",
            ),
            ("max by (pod) (nas_best_accuracy_ratio{})", "best {{pod}}"),
            ("min by (pod) (nas_smallest_accuracy_ratio{})", "smallest {{pod}}"),
        ),
        curve(
            *("Parameters", "short", "Of the same two children."),
            ("max by (pod) (nas_best_parameters{})", "best {{pod}}"),
            ("min by (pod) (nas_smallest_parameters{})", "smallest {{pod}}"),
        ),
        curve(
            *(
                "Children by outcome",
                "short",
                "Trained to an end, failed, or cancelled, since the start of the search.",
            ),
            ("sum by (outcome) (nas_children_total{})", "{{outcome}}"),
        ),
        curve(
            *("Children by transformation", "short", "Which transformations the children come from."),
            ("sum by (transformation) (nas_children_total{})", "{{transformation}}"),
        ),
        curve(
            *("Transformations without a child", "short", "Draws that gave nothing new or nothing small enough."),
            ("sum by (reason) (nas_transformations_skipped_total{})", "{{reason}}"),
        ),
        curve(
            *("Faults", "short", "Attempts lost and children failed; one bad child is one bad child."),
            ("sum by (kind) (nas_faults_total{})", "{{kind}}"),
        ),
        curve(
            *("Resumes", "short", "Attempts that went on from a checkpoint, searches that went on after a pause."),
            ("sum by (of) (nas_resumes_total{})", "{{of}}"),
            ("sum(nas_recovered_searches{})", "searches found unfinished at the start"),
        ),
        curve(
            *("Searches by state", "short", "All that the journals hold."),
            ("sum by (state) (nas_searches{})", "{{state}}"),
        ),
    ),
)

FLEET = Board(
    uid="nas-fleet",
    title="NAS: workers and GPUs",
    about="Whether the machines are busy, and with what speed.",
    panels=(
        curve("Workers", "short", "Places for attempts.", ("sum by (state) (nas_workers{})", "{{state}}")),
        curve(
            "Waiting attempts",
            "short",
            "More than none for long: more workers would help.",
            ("sum(nas_queued_attempts{})", ""),
        ),
        curve(
            *("Time in the queue", "s", "From a child's proposal to its launch."),
            (quantile(0.5, "nas_queue_seconds"), "half"),
            (quantile(0.95, "nas_queue_seconds"), "95 %"),
        ),
        curve(
            *("Training speed", "short", "Images per second: as the running attempts report it, and on average."),
            ("sum by (pod) (nas_images_per_second{})", "now {{pod}}"),
            ("sum by (pod) (rate(nas_trained_images_total{}[$__rate_interval]))", "average {{pod}}"),
        ),
        curve(
            *("Epochs and attempts", "short", "Finished epochs and launched attempts a minute."),
            ("60 * sum(rate(nas_epochs_total{}[$__rate_interval]))", "epochs"),
            ("60 * sum by (kind) (rate(nas_attempts_total{}[$__rate_interval]))", "{{kind}}"),
        ),
        curve(
            *("Duration of an epoch", "s", "With validation."),
            (quantile(0.5, "nas_epoch_seconds"), "half"),
            (quantile(0.95, "nas_epoch_seconds"), "95 %"),
        ),
        curve(
            *("Duration of a child", "s", "All its epochs."),
            (quantile(0.5, "nas_child_seconds"), "half"),
            (quantile(0.95, "nas_child_seconds"), "95 %"),
        ),
        curve(
            *("Checkpoints", "s", "Time to write one; a slow disk shows here first."),
            (quantile(0.95, "nas_checkpoint_seconds"), "95 %"),
        ),
        curve(
            *("GPU utilisation", "percentunit", "A GPU that idles while workers are busy waits for the CPU."),
            ("nas_gpu_utilisation_ratio{}", "{{pod}} GPU {{gpu}}"),
            needs_gpu=True,
        ),
        curve(
            *("GPU memory", "percentunit", "In use, by whomever."),
            ("nas_gpu_memory_used_bytes{} / nas_gpu_memory_total_bytes{}", "{{pod}} GPU {{gpu}}"),
            needs_gpu=True,
        ),
        curve(
            *("GPU power", "watt", "From the energy counter."),
            ("rate(nas_gpu_energy_joules_total{}[$__rate_interval])", "{{pod}} GPU {{gpu}}"),
            needs_gpu=True,
        ),
    ),
)

SERVICE = Board(
    uid="nas-service",
    title="NAS: health of the service",
    about="Whether the servers answer and their journals keep up.",
    panels=(
        curve("Up", "short", "1 where metrics answer.", ('up{,container="nas"}', "{{pod}}")),
        curve("Version", "short", "Of each server.", ("nas_build_info{}", "{{pod}} {{version}}")),
        curve(
            "Calls per second",
            "reqps",
            "Of the API.",
            ("sum by (method) (rate(nas_rpc_seconds_count{}[$__rate_interval]))", "{{method}}"),
        ),
        curve(
            "Errors per second",
            "reqps",
            "Calls that were refused or failed.",
            ("sum by (code) (rate(nas_rpc_errors_total{}[$__rate_interval]))", "{{code}}"),
        ),
        curve(
            *("Latency of calls", "s", "95 %; watches, which last as long as somebody watches, are left out."),
            (quantile(0.95, "nas_rpc_seconds", "method").replace("{}", '{,method!="WatchSearch"}'), "{{method}}"),
        ),
        curve(
            *("Calls in progress", "short", "Watches are most of them."),
            ("sum(nas_rpc_in_progress{})", "calls"),
            ("sum(nas_watchers{})", "watches"),
        ),
        curve(
            *("Journal: time until durable", "s", "Nothing is acknowledged before."),
            (quantile(0.5, "nas_journal_append_seconds"), "half"),
            (quantile(0.99, "nas_journal_append_seconds"), "99 %"),
        ),
        curve(
            *("Journal: events per second", "short", "And appends that failed."),
            ("sum(rate(nas_journal_events_total{}[$__rate_interval]))", "events"),
            ("sum(rate(nas_journal_errors_total{}[$__rate_interval]))", "errors"),
        ),
        curve(
            "Room for state",
            "bytes",
            "On the disk of the state folder.",
            ("min by (pod) (nas_state_free_bytes{})", "{{pod}}"),
        ),
        curve(
            "Searches without room",
            "short",
            "They go on by themselves when there is some.",
            ("sum(nas_searches_without_room{})", ""),
        ),
        curve(
            "Memory of the server",
            "bytes",
            "Without its workers.",
            ('process_resident_memory_bytes{,container="nas"}', "{{pod}}"),
        ),
        curve(
            "CPU of the server",
            "short",
            "Cores; without its workers.",
            ('rate(process_cpu_seconds_total{,container="nas"}[$__rate_interval])', "{{pod}}"),
        ),
        curve(
            "Time since the start",
            "s",
            "Falls to 0 when a server was replaced.",
            ('time() - process_start_time_seconds{,container="nas"}', "{{pod}}"),
        ),
    ),
)

BOARDS = (SEARCHES, FLEET, SERVICE)
