"""The options of `train` that set fields of the recipe."""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """An option that sets a field of the recipe; a switch where it has no metavar."""

    flag: str
    field: str
    metavar: str | None
    help: str
    group: str
    choices: tuple[str, ...] = ()


SKIP_UNREADABLE = "go on without pictures that cannot be read"

OPTIONS = (
    Option("--data", "dataset", "NAME", "the data: digits, fashion_mnist, …", "data"),
    Option("--resize", "resize", "SIZE", "bring images to this size: 96, or [96, 128]", "data"),
    Option("--augment", "augment", "NAMES", "of training images: [random_crop:4]", "data"),
    Option(
        "--normalize", "normalize", "STATISTICS", "{mean: [0.5], std: [0.25]}, by channel", "data"
    ),
    Option("--validation", "validation", "SHARE", "share that chooses the best: 0.1", "data"),
    Option("--limit-train", "limit_train", "N", "train on N images only", "data"),
    Option("--limit-test", "limit_test", "N", "test on N images only", "data"),
    Option("--skip-unreadable", "skip_unreadable", None, SKIP_UNREADABLE, "data"),
    Option("--epochs", "epochs", "N", "passes over the training images", "recipe"),
    Option("--batch-size", "batch_size", "N", "images of one step, or auto", "recipe"),
    Option("--accumulate", "accumulate", "K", "compute a batch in K pieces", "recipe"),
    Option(
        "--optimizer", "optimizer", "NAME", "sgd, adam or adamw", "recipe", ("sgd", "adam", "adamw")
    ),
    Option("--lr", "lr", "LR", "learning rate", "recipe"),
    Option("--momentum", "momentum", "M", "momentum of sgd", "recipe"),
    Option("--nesterov", "nesterov", None, "Nesterov's momentum", "recipe"),
    Option("--betas", "betas", "BETAS", "averages of adam, adamw: [0.9, 0.999]", "recipe"),
    Option("--eps", "eps", "EPS", "the term that keeps adam from dividing by 0", "recipe"),
    Option("--weight-decay", "weight_decay", "D", "weight decay", "recipe"),
    Option("--decay-all", "decay_all", None, "decay biases and norms too", "recipe"),
    Option(
        "--schedule",
        "schedule",
        "NAME",
        "constant, step, cosine or one_cycle",
        "recipe",
        ("constant", "step", "cosine", "one_cycle"),
    ),
    Option("--step-epochs", "step_epochs", "EPOCHS", "epochs between drops of `step`", "recipe"),
    Option("--gamma", "gamma", "FACTOR", "factor of a drop of `step`", "recipe"),
    Option("--final-lr", "final_lr", "LR", "learning rate where `cosine` ends", "recipe"),
    Option("--warmup", "warmup", "EPOCHS", "epochs of linear warm-up", "recipe"),
    Option("--label-smoothing", "label_smoothing", "S", "label smoothing", "recipe"),
    Option(
        "--loss-weights", "loss_weights", "WEIGHTS", "of each output's loss: {aux: 0.3}", "recipe"
    ),
    Option("--clip-norm", "clip_norm", "NORM", "largest norm of the gradient", "recipe"),
    Option("--init", "init", "SCHEME", "initialisation: xavier_uniform, …", "recipe"),
    Option("--ema", "ema", "DECAY", "average the weights with this decay", "recipe"),
    Option("--patience", "patience", "N", "stop after N epochs without progress", "recipe"),
    Option("--seed", "seed", "N", "seed of weights, splits, order", "recipe"),
    Option("--deterministic", "deterministic", None, "the same bits on a GPU too", "recipe"),
    Option("--device", "device", "D", "auto, cpu, cuda, cuda:1, mps", "machine"),
    Option(
        "--precision",
        "precision",
        "P",
        "auto, fp32, bf16 or fp16",
        "machine",
        ("auto", "fp32", "bf16", "fp16"),
    ),
    Option(
        "--memory-format",
        "memory_format",
        "F",
        "auto, contiguous or channels_last",
        "machine",
        ("auto", "contiguous", "channels_last"),
    ),
    Option("--threads", "threads", "N", "threads of the CPU, or auto: one or all", "machine"),
    Option("--compile", "compile", None, "use torch.compile", "machine"),
    Option(
        "--resident", "resident", "BOOL", "keep the data on the device, or stream it", "machine"
    ),
    Option("--sync-batch-norm", "sync_batch_norm", None, "statistics over processes", "machine"),
    Option("--fsdp", "fsdp", None, "shard the network over processes", "machine"),
    Option("--log-every", "log_every", "SECONDS", "between two lines of metrics", "machine"),
    Option("--save-every", "save_every", "SECONDS", "between checkpoints in an epoch", "machine"),
)
"""One for each field of the recipe; a test holds them against it."""
