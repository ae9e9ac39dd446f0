"""The picture of a run of `distributed.py`: measured speeds above, reckoned efficiencies below."""

import matplotlib

matplotlib.use("agg")
import reckon_workers
from matplotlib import pyplot as plt
from tasks import TASKS

SHOWN = {"DDP": "#7f7f7f", "DataParallel": "#00897b", "FSDP2": "#c7c7c7", "FullyShard": "#80cbc4"}
COLORS = ("#b71c1c", "#ef6c00", "#1565c0", "#00897b")


def draw(run, path):
    """Write the picture.

    Args:
        run: What `distributed.py` wrote.
        path: File name.
    """
    from distributed import Medians

    names = list(run["gradient_bytes"])
    figure, axes = plt.subplots(2, len(names), figsize=(5.2 * len(names), 7.4), squeeze=False, layout="constrained")
    for column, task in enumerate(names):
        _draw_measured(axes[0, column], Medians(run), task)
        _draw_reckoned(axes[1, column], reckon_workers.measured_step(run, task, processes=_first(run)))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _first(run):
    """Return the first number of processes that was measured."""
    return int(next(iter(run["messages"])))


def _draw_measured(ax, medians, task):
    """Draw the rows a second of each contender in several processes, beside those of a loop in one."""
    one = medians.seconds(task, 1, "hand", "strong")
    worlds = sorted({world for name, world, _, _ in medians.entries if name == task and world > 1})
    groups = [(world, kind) for kind in ("strong", "weak") for world in worlds]
    shown = [who for who in SHOWN if (task, worlds[0], who, "strong") in medians.entries]
    width = 0.8 / len(shown)
    for index, who in enumerate(shown):
        speeds = []
        for world, kind in groups:
            batches = world if kind == "weak" else 1
            speeds.append(batches * one / medians.seconds(task, world, who, kind))
        places = [place + (index - (len(shown) - 1) / 2) * width for place in range(len(groups))]
        bars = ax.bar(places, speeds, width, color=SHOWN[who], label=who)
        ax.bar_label(bars, fmt="%.2f", fontsize=8)
    ax.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    ax.set_xticks(range(len(groups)), [f"{kind}, {world} processes" for world, kind in groups])
    ax.set_title(TASKS[task].title, fontsize=10)
    ax.set_ylabel("rows a second, one process = 1")
    ax.legend(fontsize=8)


def _draw_reckoned(ax, step):
    """Draw the efficiency of 1 to 1,024 workers for each link."""
    workers = [2**power for power in range(11)]
    for link, color in zip(reckon_workers.LINKS.values(), COLORS, strict=True):
        for scaling, style in (("weak", "-"), ("strong", "--")):
            speeds = [(n, reckon_workers.speed(step, n, link, scaling)) for n in workers]
            points = [(n, one / n) for n, one in speeds if one is not None]
            ax.plot(*zip(*points, strict=True), style, color=color, label=link.title if style == "-" else None)
    ax.plot([], [], "-", color="black", label="weak")
    ax.plot([], [], "--", color="black", label="strong")
    ax.set_xscale("log", base=2)
    ax.set_xticks(workers, [str(n) for n in workers], fontsize=8)
    ax.set_ylim(0, 1.05)
    ax.set_xlabel("workers")
    ax.set_ylabel("reckoned efficiency")
    ax.legend(fontsize=8)
