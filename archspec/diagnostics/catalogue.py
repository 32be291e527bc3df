"""Every diagnostic at length: `archspec explain` and docs/errors.md are written from this table.

`wrong` gives exactly its code, `right` compiles; tests/diagnostics holds both to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

from archspec.diagnostics.diagnostic import Code
from archspec.record import Record


class Explanation(Record):
    """One code: what is wrong, why it is refused, an example and how it should be.

    `files` are texts that stand beside the wrong example, by their names. The examples are empty
    where the mistake is not in a text.
    """

    title: str
    text: str
    wrong: str
    right: str
    files: Mapping[str, str] = {}


CATALOGUE: dict[Code, Explanation] = {}


def _add(
    code: Code,
    title: str,
    text: str,
    wrong: str,
    right: str,
    files: Mapping[str, str] | None = None,
) -> None:
    words = " ".join(text.split())
    CATALOGUE[code] = Explanation(title, words, dedent(wrong), dedent(right), files or {})


# --- 1xx: the text -------------------------------------------------------------------------------

_add(
    Code.YAML,
    "the text is not YAML",
    """The scanner could not go on: a bracket or brace is not closed, a line is indented by a tab
    or to a depth that fits nothing around it, a colon is missing after a key, or a text has to
    stand in quotes. The place is where the scanner stopped; the slip may be a line before it.
    Inside braces and brackets a plain text ends at a comma or a bracket, so expressions with
    either are quoted there.""",
    """\
    input: [3, 8, 8
    layers:
      - relu
    """,
    """\
    input: [3, 8, 8]
    layers:
      - relu
    """,
)
_add(
    Code.ENCODING,
    "the file is not UTF-8 text",
    """A spec is text in UTF-8, with or without a byte order mark. Other encodings, NUL and other
    control characters are refused, for no editor shows what they would mean.""",
    "input: [3]\nname: bell \a\nlayers: [relu]\n",
    "input: [3]\nname: bell\nlayers: [relu]\n",
)
_add(
    Code.DUPLICATE_KEY,
    "a key stands twice in one mapping",
    """Most YAML readers keep the last of two equal keys and say nothing, so that an edit to the
    first has no effect. Here each key stands once.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3, out_channels: 8}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 8, kernel_size: 3}
    """,
)
_add(
    Code.YAML_FEATURE,
    "a feature of YAML that the language leaves out",
    """Tags (`!!int`), merge keys (`<<`) and several documents in one file are not part of the
    language. Values that are needed twice belong into `params`, nodes that are needed twice
    into a block; anchors and aliases work as usual.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: &conv {out_channels: 4, kernel_size: 3}
      - conv2d: {<<: *conv, stride: 2}
    """,
    """\
    input: [3, 8, 8]
    blocks:
      conv:
        params: {stride: 1}
        layers: [{conv2d: {out_channels: 4, kernel_size: 3, stride: stride}}]
    layers:
      - conv
      - conv: {stride: 2}
    """,
)
_add(
    Code.SCALAR,
    "a number that no argument could take",
    """NaN, infinities, numbers beyond double precision and whole numbers of more than 100 digits
    are no sizes, rates or counts. Scalars are read by YAML 1.2: `1e-3` is a number, `no` is
    text.""",
    """\
    input: [3, 8, 8]
    layers:
      - dropout: .nan
    """,
    """\
    input: [3, 8, 8]
    layers:
      - dropout: 0.5
      - conv2d: {out_channels: 4, kernel_size: 1}
    """,
)

# --- 2xx: the document ---------------------------------------------------------------------------

_add(
    Code.STRUCTURE,
    "a value of another form than the language has at this place",
    """A spec is a mapping, `layers` a list of nodes, a node the name of an op or block or a
    mapping with exactly one. Something else stands here: a list where a mapping belongs, a
    mapping where the dashes are missing, two ops in one node, a key without a value.""",
    """\
    input: [3, 8, 8]
    layers:
      relu:
    """,
    """\
    input: [3, 8, 8]
    layers:
      - relu
    """,
)
_add(
    Code.UNKNOWN_KEY,
    "a key that the language does not have",
    """A key that nobody reads would be ignored in silence, and the network would be another one
    than the text says. Arguments of an op stand under the op; `name`, `from`, `when`, `repeat`,
    `share` and `training_only` beside it.""",
    """\
    input: [3, 8, 8]
    layers:
      - {relu: , nmae: act}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {relu: , name: act}
    """,
)
_add(
    Code.MISSING_KEY,
    "a key that is required is missing",
    """A spec needs `input` (or `inputs`) and `layers`, unless it extends another; a block needs
    `layers`; `branches` need a `merge`.""",
    """\
    layers:
      - relu
    """,
    """\
    input: [3, 8, 8]
    layers:
      - relu
    """,
)
_add(
    Code.UNKNOWN_OP,
    "a node names neither an op nor a block",
    """Ops are named in snake_case after torch's classes; `archspec list --ops` lists them with the
    standard blocks. A file's own blocks stand under `blocks:`, shared ones are brought in with
    `use:`.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2: {out_channels: 4, kernel_size: 3}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
    """,
)
_add(
    Code.ARGUMENT,
    "a value that an argument does not take",
    """Arguments have torch's own meaning and types, read strictly: sizes are whole numbers (32.0
    is none), a truth value is no number, and text is an expression wherever a number is
    expected. `no`, `yes`, `on` and `off` are text in YAML 1.2: write `true` or `false`.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 32.0, kernel_size: 3}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 32, kernel_size: 3}
    """,
)
_add(
    Code.UNKNOWN_ARGUMENT,
    "an argument that the op or block does not have",
    """Arguments are called as torch calls them. Input sizes (`in_channels`, `in_features`) are
    never written: they follow from the node before.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernal_size: 3}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
    """,
)
_add(
    Code.MISSING_ARGUMENT,
    "a required argument is missing",
    """The op or block has no default for it. Where one argument may stand alone, as in `linear:
    10`, the message says which.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
    """,
)
_add(
    Code.NAME,
    "a name that cannot be given",
    """Names of nodes become parts of module paths and of `state_dict` keys: letters, digits, `_`
    and `-`, no Python keyword, and no attribute of `torch.nn.Module` (`train`, `forward`),
    which the submodule would hide. Parameters and loop variables are Python identifiers and
    none of the language's own words.""",
    """\
    input: [3, 8, 8]
    layers:
      - {name: forward, relu: }
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {name: act, relu: }
    """,
)
_add(
    Code.DUPLICATE_NAME,
    "a name stands twice in one list",
    """Names are module paths, so each is given once in its list. Two nodes may share one where
    `when` leaves at most one of them. In a repeat without a name of its own, every iteration
    would bear a fixed name again: write `{index}` into it.""",
    """\
    input: [3, 8, 8]
    layers:
      - {name: act, relu: }
      - {name: act, flatten: }
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {name: act, relu: }
      - {name: flat, flatten: }
    """,
)
_add(
    Code.VERSION,
    "another version of the language",
    """`archspec:` states the version of the language that the file is written in; there is one
    version, 1, so far.""",
    """\
    archspec: 2
    input: [3]
    layers: [relu]
    """,
    """\
    archspec: 1
    input: [3]
    layers: [relu]
    """,
)

# --- 3xx: expressions and parameters -------------------------------------------------------------

_add(
    Code.EXPRESSION,
    "a text is not an expression of the language",
    """Where a number, truth value or list is expected, text is an expression: arithmetic,
    comparison, `and or not`, `a if c else b`, lists, indexing, `[f(x) for x in xs]` and a few
    functions. It is never run as Python, and nothing else of Python is part of it.""",
    """\
    input: [3, 8, 8]
    layers:
      - linear: 4 *
    """,
    """\
    input: [3, 8, 8]
    layers:
      - linear: 4 * 2
    """,
)
_add(
    Code.UNKNOWN_NAME,
    "a name that is not known at this place",
    """An expression sees the parameters in scope, `index` and the variables of the repeats around
    it, and `in_channels`, `in_height`, `in_width`, `in_features` and `in_shape` of its node's
    input. A block sees its own parameters and nothing of its caller's. Text in an expression
    stands in single quotes.""",
    """\
    input: [3, 8, 8]
    params: {width: 4}
    layers:
      - linear: width * 2
      - linear: widht
    """,
    """\
    input: [3, 8, 8]
    params: {width: 4}
    layers:
      - linear: width * 2
      - linear: width
    """,
)
_add(
    Code.EVALUATION,
    "an expression has no value",
    """It divides by zero, reads past the end of a list, adds text to a number, or asks for a size
    that its node's input has not (`in_height` of a vector).""",
    """\
    input: [3, 8, 8]
    params: {groups: 0}
    layers:
      - linear: 64 // groups
    """,
    """\
    input: [3, 8, 8]
    params: {groups: 2}
    layers:
      - linear: 64 // groups
    """,
)
_add(
    Code.PARAMETER,
    "a parameter gets a value of another type than it was declared with",
    """A default fixes a parameter's type; `int`, `float`, `bool`, `str`, `list` and `layers`
    declare a required one. A whole number fits a float, and a list fits where one number is
    expected, since it may be a kernel size.""",
    """\
    input: [3, 8, 8]
    blocks:
      stem:
        params: {channels: int}
        layers: [{conv2d: {out_channels: channels, kernel_size: 3}}]
    layers:
      - stem: {channels: true}
    """,
    """\
    input: [3, 8, 8]
    blocks:
      stem:
        params: {channels: int}
        layers: [{conv2d: {out_channels: channels, kernel_size: 3}}]
    layers:
      - stem: {channels: 8}
    """,
)
_add(
    Code.UNKNOWN_PARAMETER,
    "a value for a parameter that the spec does not have",
    """`params` of a spec that extends another, `--set` and `load(..., params=...)` give values to
    the parameters of the spec that has the layers; they cannot add new ones.""",
    """\
    extends: lenet_bn
    params: {num_clases: 100}
    """,
    """\
    extends: lenet_bn
    params: {num_classes: 100}
    """,
)
_add(
    Code.REPEAT,
    "a repeat that counts or walks nothing",
    """`repeat` takes a whole number of at least 1, an expression that gives one (or 0: then the
    node is not there), or named lists of equal length: `repeat: {stage: stages}`.""",
    """\
    input: [3, 8, 8]
    layers:
      - {repeat: 1.5, relu: }
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {repeat: 2, linear: 4}
    """,
)

# --- 4xx: shapes ---------------------------------------------------------------------------------

_add(
    Code.SHAPE,
    "shapes that do not fit",
    """torch would fail in the forward pass: a window is larger than its input, groups do not divide
    the channels, the inputs of a merge differ. The trail leads from the values back to the nodes
    where they took their shape. (Conditions of an op on its own arguments are AS205.)""",
    """\
    input: [3, 8, 8]
    layers:
      - {name: main, conv2d: {out_channels: 16, kernel_size: 3, stride: 2, padding: 1}}
      - add: [main, input]
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {name: main, conv2d: {out_channels: 16, kernel_size: 3, stride: 2, padding: 1}}
      - {name: short, conv2d: {out_channels: 16, kernel_size: 1, stride: 2}, from: input}
      - add: [main, short]
    """,
)
_add(
    Code.RANK,
    "an input with too many or too few axes",
    """The op works on inputs of another rank, or an axis is named that the input has not. Ranks
    and axes count the batch: an image is 4-D, `dim: 1` are its channels.""",
    """\
    input: [3, 8, 8]
    layers:
      - flatten
      - conv2d: {out_channels: 4, kernel_size: 3}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
      - flatten
    """,
)
_add(
    Code.EMPTY,
    "a size below 1",
    """No axis of a value may be empty, even where torch would go on: a network that computes
    nothing is a slip.""",
    """\
    input: [3, 2, 2]
    layers:
      - conv_transpose2d: {out_channels: 4, kernel_size: 1, padding: 1}
    """,
    """\
    input: [3, 2, 2]
    layers:
      - conv_transpose2d: {out_channels: 4, kernel_size: 2}
    """,
)
_add(
    Code.UNBATCHED,
    "a value without a batch axis where one is needed",
    """A learned tensor (`parameter`) has no batch axis. It may be read by `add`, `mul`, `concat`
    and element-wise functions, which spread it over the batch; all else, and the network's
    outputs, need the batch first. Pooling an input of three axes would take the batch for
    channels.""",
    """\
    input: [3, 8, 8]
    layers:
      - {name: bias, parameter: [1, 3, 8, 8]}
      - max_pool2d: 2
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {name: bias, parameter: [1, 3, 8, 8]}
      - add: [input, bias]
      - max_pool2d: 2
    """,
)
_add(
    Code.MIXES_BATCH,
    "an op that would work across the samples of a batch",
    """Axis 0 is the batch. No op folds, splits, reorders or joins it, so that the network gives
    each sample the same answer whatever else is in the batch. `dim` counts the batch as 0.""",
    """\
    input: [3, 8, 8]
    layers:
      - flatten: {start_dim: 0}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - flatten: {start_dim: 1}
    """,
)

_add(
    Code.SINGLE_VALUE,
    "a single value is normalised",
    """A normalisation subtracts the mean of some values and divides by their deviation. Of one
    value alone that leaves nothing: torch refuses it, or gives a constant for several images and
    refuses one. Mostly the positions were pooled to one before it.""",
    """\
    input: [8, 4, 4]
    layers:
      - global_avg_pool2d
      - group_norm: 8
    """,
    """\
    input: [8, 4, 4]
    layers:
      - group_norm: 8
      - global_avg_pool2d
    """,
)

# --- 5xx: edges ----------------------------------------------------------------------------------

_add(
    Code.UNKNOWN_NODE,
    "a node reads another that is not there",
    """`from`, merges and `outputs` name nodes of the same list, by their `name` or their number,
    and `input` for the list's own input. Nodes inside a block or group cannot be read from
    outside.""",
    """\
    input: [3, 8, 8]
    layers:
      - {name: stem, relu: }
      - add: [stem, shortcut]
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {name: stem, relu: }
      - {name: shortcut, conv2d: {out_channels: 3, kernel_size: 1}, from: input}
      - add: [stem, shortcut]
    """,
)
_add(
    Code.FORWARD_REFERENCE,
    "a node reads itself, or one that stands after it",
    """A node reads what stands before it in the list, so that a graph can have no cycles.""",
    """\
    input: [3, 8, 8]
    layers:
      - add: [input, later]
      - {name: later, relu: }
    """,
    """\
    input: [3, 8, 8]
    layers:
      - {name: earlier, relu: }
      - add: [input, earlier]
    """,
)
_add(
    Code.OUTPUT_INDEX,
    "an output that the node does not have",
    """`name[i]` is output i, counted from 0, of a node with several, such as `chunk`.""",
    """\
    input: [4, 8, 8]
    layers:
      - {name: halves, chunk: 2}
      - mul: ["halves[0]", "halves[2]"]
    """,
    """\
    input: [4, 8, 8]
    layers:
      - {name: halves, chunk: 2}
      - mul: ["halves[0]", "halves[1]"]
    """,
)
_add(
    Code.ARITY,
    "too many or too few inputs",
    """A node reads the one before it. Merges read two or more, named as their argument; a node
    with several outputs hands all of them on, so its reader chooses one.""",
    """\
    input: [4, 8, 8]
    layers:
      - {name: halves, chunk: 2}
      - relu
    """,
    """\
    input: [4, 8, 8]
    layers:
      - {name: halves, chunk: 2}
      - {relu: , from: "halves[0]"}
    """,
)
_add(
    Code.OUTPUTS,
    "what the network returns is not clear",
    """One output is returned as a tensor. Several need names, `outputs: {logits: fc, aux: head}`,
    and are returned as a dict in this order; each name stands for one value.""",
    """\
    input: [4, 8, 8]
    layers:
      - chunk: 2
    """,
    """\
    input: [4, 8, 8]
    layers:
      - {name: halves, chunk: 2}
    outputs: {left: "halves[0]", right: "halves[1]"}
    """,
)
_add(
    Code.TRAINING_ONLY,
    "a value that exists in training alone is needed in eval() too",
    """A node marked `training_only: true` is left out in `eval()`. Only nodes with the same mark
    may read it, and `outputs` beside one that stays.""",
    """\
    input: [4]
    layers:
      - {name: aux, linear: 4, training_only: true}
      - linear: 2
    """,
    """\
    input: [4]
    layers:
      - {name: aux, linear: 4, training_only: true}
      - {name: fc, linear: 2, from: input}
    outputs: {logits: fc, aux: aux}
    """,
)
_add(
    Code.SHARE,
    "a module that cannot be used again here",
    """`share: other` applies the module of an earlier node of the same list once more. That must
    be the module which the new input would have had on its own: weights of the same shapes, and the
    same class where the rank of the input chooses it.""",
    """\
    input: [4]
    layers:
      - {name: fc, linear: 8}
      - share: fc
    """,
    """\
    input: [4]
    layers:
      - {name: fc, linear: 4}
      - share: fc
    """,
)

# --- 6xx: other files and blocks -----------------------------------------------------------------

_add(
    Code.FILE,
    "a file that cannot be read",
    """`use` names files beside the spec, `extends` a bundled spec (`archspec list`) or a file
    beside the spec. The file is not there, cannot be opened, or needs itself.""",
    """\
    extends: lenet
    """,
    """\
    extends: lenet_bn
    """,
)
_add(
    Code.EXTENDS,
    "a spec extends another in a way that has no meaning",
    """A variant has no `layers` of its own: it changes those of its base with `params` and
    `patch`. A chain of variants must end at a spec with layers.""",
    """\
    extends: lenet_bn
    layers:
      - relu
    """,
    """\
    extends: lenet_bn
    patch:
      - {insert_after: "0", with: {dropout2d: 0.1}}
    """,
)
_add(
    Code.PATCH,
    "a patch that cannot be applied",
    """A patch names a node of the base by its path, as `archspec compile BASE --summary` prints
    it, and has one of `replace`, `insert_before`, `insert_after` (each with `with:`) and
    `remove`.""",
    """\
    extends: lenet_bn
    patch:
      - remove: head.dropout
    """,
    """\
    extends: lenet_bn
    patch:
      - remove: "3"
    """,
)
_add(
    Code.BLOCK_CYCLE,
    "a block calls itself",
    """A block may use other blocks, but never, directly or through others, itself: it would have
    no end.""",
    """\
    input: [4]
    blocks:
      tower:
        layers: [{linear: 4}, tower]
    layers:
      - tower
    """,
    """\
    input: [4]
    blocks:
      storey:
        layers: [{linear: 4}]
    layers:
      - {repeat: 3, storey: }
    """,
)
_add(
    Code.OUTSIDE,
    "a file outside the folder of the spec",
    """A spec may come from anywhere, so it reads files only below its own folder, symbolic links
    followed. `--allow-outside`, or `load(..., allow_outside=True)`, lets it read others.""",
    """\
    extends: ../bases/net.yaml
    """,
    """\
    extends: lenet_bn
    """,
    {"../bases/net.yaml": "input: [3]\nlayers: [relu]\n"},
)

# --- 7xx: limits ---------------------------------------------------------------------------------

_add(
    Code.LIMIT,
    "more work than a spec may cause",
    """No text of a few lines may take hours or all memory: files, nesting, lists, repeats, nodes
    and the sizes of values are bounded. The message names the limit; a caller who trusts the
    spec raises it with `load(..., limits=Limits(repeat=...))`.""",
    """\
    input: [4]
    layers:
      - {repeat: 1000000000, linear: 4}
    """,
    """\
    input: [4]
    layers:
      - {repeat: 10, linear: 4}
    """,
)

# --- 8xx: what is not in the text ----------------------------------------------------------------

_add(
    Code.MODULE,
    "a module of another package that may not be used, or cannot",
    """A `module` node imports and runs the code of a Python package, which a spec from elsewhere
    must not decide. So the caller allows packages by name: `--allow-module torchvision`, or
    `load(..., allow_modules=["torchvision"])`. Of an allowed package the class must be an
    `nn.Module` that is made on the meta device as on the CPU, gives tensors whose first axis is
    the batch, and leaves its input as it was.""",
    """\
    input: [3, 8, 8]
    layers:
      - module: {type: torchvision.ops.Permute, args: [[0, 2, 3, 1]]}
    """,
    """\
    input: [3, 8, 8]
    layers:
      - permute: [0, 2, 3, 1]
    """,
)
_add(
    Code.WEIGHTS,
    "trained weights that cannot be read, or do not fit",
    """A file of weights fits where it has every key of the network with its shape, and no other
    key. Else nothing is loaded, and each difference is named with what there is in its place.
    Keys of another program are renamed with `--weights-map old=new`; `--partial` loads what
    fits, such as all but a new head. Of any file only tensors are read, and no code ever runs;
    the message of one that is not understood lists the formats.""",
    "",
    "",
)

# --- 9xx: warnings -------------------------------------------------------------------------------

_add(
    Code.UNREAD_NODE,
    "nobody reads a node",
    """Its value goes nowhere, so it is left out of the module, with its parameters; one whose
    module others `share` keeps that, and does not run. Mostly a `from:` has jumped over it, or an
    edge names another node.""",
    """\
    input: [4]
    layers:
      - {name: hidden, linear: 8}
      - {name: fc, linear: 2, from: input}
    """,
    """\
    input: [4]
    layers:
      - {name: hidden, linear: 8}
      - {name: fc, linear: 2}
    """,
)
_add(
    Code.UNUSED_PARAMETER,
    "nothing uses a parameter",
    """Setting it would change nothing. Mostly a node states the number that the parameter was made
    for.""",
    """\
    input: [4]
    params: {num_classes: 10}
    layers:
      - linear: 10
    """,
    """\
    input: [4]
    params: {num_classes: 10}
    layers:
      - linear: num_classes
    """,
)
_add(
    Code.BIAS_BEFORE_NORM,
    "a bias before batch normalisation",
    """Normalisation subtracts each channel's mean, and the bias with it: its parameters learn
    nothing and cost memory and time. Ioffe and Szegedy, Batch Normalization (arXiv 1502.03167),
    section 3.2. Where a reference network has it so, silence the warning.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
      - batch_norm
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3, bias: false}
      - batch_norm
    """,
)
_add(
    Code.REPEATED_ACTIVATION,
    "two activations in a row",
    """With no layer between them the second one mostly changes nothing (`relu` after `relu`), and
    was left over from an edit.""",
    """\
    input: [4]
    layers:
      - linear: 4
      - relu
      - relu
    """,
    """\
    input: [4]
    layers:
      - linear: 4
      - relu
    """,
)
_add(
    Code.DROPOUT_AT_END,
    "dropout after the last layer",
    """No layer learns behind it: in training it sets logits to zero at random, and the loss with
    them.""",
    """\
    input: [4]
    layers:
      - linear: 4
      - dropout: 0.5
    """,
    """\
    input: [4]
    layers:
      - dropout: 0.5
      - linear: 4
    """,
)
_add(
    Code.REPEATED_INPUT,
    "a merge reads one value twice",
    """Two of its inputs are the same value, as where a branch that is the identity stands beside
    another: the sum is twice the input, the concatenation a copy.""",
    """\
    input: [4, 8, 8]
    layers:
      - branches:
          - []
          - [identity]
          - [{conv2d: {out_channels: 4, kernel_size: 1}}]
        merge: add
    """,
    """\
    input: [4, 8, 8]
    layers:
      - branches:
          - []
          - [{conv2d: {out_channels: 4, kernel_size: 1}}]
        merge: add
    """,
)

_add(
    Code.LINEAR_ON_IMAGE,
    "a linear layer or a layer norm behind a convolution or a pool",
    """`linear` maps the last axis, and `layer_norm` normalises it, as torch's do. Of an image that
    is the width of each row: the other pixels are never seen together. Before `linear` most often
    a `flatten` was forgotten; `layer_norm` takes the channels with `axes: [1]`.""",
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
      - layer_norm
      - relu
      - linear: 10
    """,
    """\
    input: [3, 8, 8]
    layers:
      - conv2d: {out_channels: 4, kernel_size: 3}
      - layer_norm: {axes: [1]}
      - relu
      - flatten
      - linear: 10
    """,
)

_add(
    Code.UNREAD_INPUT,
    "nothing reads an input",
    """The module takes the input and does nothing with it. Each of several inputs is read by its
    name; a first node without `from` reads the first.""",
    """\
    inputs: {image: [3, 8, 8], meta: [4]}
    layers:
      - flatten
      - linear: 10
    """,
    """\
    inputs: {image: [3, 8, 8], meta: [4]}
    layers:
      - {name: flat, flatten: }
      - concat: [flat, meta]
      - linear: 10
    """,
)

_add(
    Code.ONE_VALUE_NORMALISED,
    "a normalisation of one value",
    """A softmax along an axis of size 1 is 1, and a layer normalisation of one value is its bias,
    whatever stands before them: no layer before it learns. `normalize` leaves the sign of a single
    value. Another axis was meant, or for a single number `sigmoid`.""",
    """\
    input: [8]
    layers:
      - linear: 1
      - softmax: 1
    """,
    """\
    input: [8]
    layers:
      - linear: 1
      - sigmoid
    """,
)

_add(
    Code.CHANNELS_LAST,
    "an image with its channels last",
    """A convolution reads an input of few columns and more channels: `[224, 224, 3]` is an image of
    224 channels with 224 x 3 pixels. torch has the channels first, where other libraries have
    them last.""",
    """\
    input: [224, 224, 3]
    layers:
      - conv2d: {out_channels: 8, kernel_size: 3}
    """,
    """\
    input: [3, 224, 224]
    layers:
      - conv2d: {out_channels: 8, kernel_size: 3}
    """,
)
