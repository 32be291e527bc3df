"""What people call things elsewhere, and what it is here; for help lines alone.

Words are in small letters without `_` and `-`, as `bare` makes them.
"""

from __future__ import annotations

from collections.abc import Collection

from archspec.diagnostics.diagnostic import bare
from archspec.ir.types import named_elsewhere

SAME = {f"{norm}{n}d": f"{norm[:-4]}_norm" for norm in ("batchnorm", "instancenorm") for n in "123"}
"""Classes of torch that an op chooses from by the rank of its input."""

OPS = {
    "abs": "absolute",
    "add": "addn eltwise plus",
    "all": "reduceall",
    "amax": "reducemax",
    "amin": "reducemin",
    "any": "reduceany",
    "avg_pool1d": "averagepooling1d",
    "avg_pool2d": "averagepool averagepooling averagepooling2d avgpool avgpooling meanpool",
    "avg_pool3d": "averagepooling3d",
    "batch_norm": "batchnormalization bn syncbatchnorm",
    "clamp": "clip hardclip",
    "concat": "cat concatenate merge route",
    "conv1d": "lazyconv1d",
    "conv2d": "conv convolution convolution2d lazyconv2d",
    "conv3d": "convolution3d lazyconv3d",
    "conv_transpose1d": "conv1dtranspose deconv1d lazyconvtranspose1d",
    "conv_transpose2d": "conv2dtranspose convtranspose deconv deconv2d deconvolution "
    "lazyconvtranspose2d transposedconv upconv",
    "conv_transpose3d": "conv3dtranspose deconv3d lazyconvtranspose3d",
    "cumsum": "cumulativesum",
    "div": "divide truedivide",
    "dropout1d": "spatialdropout1d",
    "dropout2d": "featuredropout spatialdropout spatialdropout2d",
    "dropout3d": "spatialdropout3d",
    "embedding": "embeddings lookuptable tokenembedding wordembedding",
    "eq": "equal",
    "fold": "col2im",
    "ge": "greaterequal greaterorequal",
    "global_avg_pool1d": "globalaveragepooling1d",
    "global_avg_pool2d": "gap globalaveragepool globalaveragepooling globalaveragepooling2d "
    "globalpool",
    "global_avg_pool3d": "globalaveragepooling3d",
    "global_max_pool1d": "globalmaxpooling1d",
    "global_max_pool2d": "globalmaxpool globalmaxpooling globalmaxpooling2d",
    "global_max_pool3d": "globalmaxpooling3d",
    "group_norm": "gn groupnormalization",
    "gt": "greater",
    "hardsigmoid": "hsigmoid",
    "hardswish": "hswish",
    "identity": "noop passthrough",
    "instance_norm": "instancenormalization",
    "layer_norm": "layernormalization ln",
    "le": "lessequal lessorequal",
    "leaky_relu": "leaky lrelu",
    "linear": "fc fullyconnected gemm innerproduct lazylinear",
    "local_response_norm": "lrn",
    "logsumexp": "reducelogsumexp",
    "lt": "less",
    "matmul": "bmm dot mm",
    "max_pool1d": "maxpooling1d",
    "max_pool2d": "maxpool maxpooling maxpooling2d",
    "max_pool3d": "maxpooling3d",
    "mean": "average reducemean",
    "mlp": "ffn",
    "mul": "multiply product",
    "multi_head_attention": "attention mha multiheadselfattention selfattention",
    "ne": "notequal",
    "neg": "negative",
    "normalize": "l2norm l2normalization l2normalize unitnormalization",
    "permute": "moveaxis movedim swapaxes swapdims transpose",
    "pixel_shuffle": "depthtospace",
    "pixel_unshuffle": "spacetodepth",
    "pow": "power",
    "prod": "reduceprod",
    "reshape": "view",
    "rms_norm": "rmsnormalization",
    "sigmoid": "logistic",
    "silu": "swish",
    "slice": "crop cropping2d narrow",
    "squeeze_excitation": "se seblock selayer",
    "stochastic_depth": "dropconnect droppath",
    "sub": "subtract",
    "sum": "reducesum",
    "take_along_dim": "gatherelements takealongaxis",
    "to": "astype cast totype",
    "unsqueeze": "expanddims",
    "unfold": "im2col",
    "upsample": "upsampling upsampling2d upsamplingnearest2d",
    "vector_norm": "norm",
    "where": "maskedselect select",
}
"""Ops and blocks with other words for them."""

_DEPTHWISE = (
    "`conv2d: {out_channels: in_channels, kernel_size: 3, padding: 1, groups: in_channels}`"
)
HOW = {
    "activation": "each activation is a node: `relu`",
    "argsort": "the positions are the second output of sort",
    "bilinear": "for resizing write `upsample: {scale_factor: 2, mode: bilinear}`",
    "dense": "a fully connected layer is `linear: 10`; `dense` is a block of such convolutions as "
    "DenseNet has",
    "depthwiseconv depthwiseconv2d": f"give each channel a group: {_DEPTHWISE}",
    "bfloat16 double float float16 float32 float64 half": "write `to: float`: a float has the "
    "network's own precision",
    "int int64 long": "write `to: int64`",
    "input inputlayer": "`input:` stands at the top of the file, beside `layers:`",
    "layernorm2d": "put the channels last for it: `permute: [0, 2, 3, 1]`, `layer_norm`, and back",
    "output": "`outputs:` stands at the top of the file, beside `layers:`",
    "rescaling": "by one number: `scale: 1 / 255`; by one for each channel: `rescale`",
    "resize resizing": "write `interpolate: {size: [16, 16]}`",
    "separableconv separableconv2d": (
        f"a depthwise convolution, {_DEPTHWISE}, and a pointwise one, "
        "`conv2d: {out_channels: 8, kernel_size: 1}`"
    ),
    "sequential modulelist": "a list of nodes within a node: `layers: [relu]`",
    "square": "write `pow: 2`",
    "transformerdecoderlayer": "the block `transformer_decoder_layer` is torch's: it reads x and "
    "memory, in this order, the batch first",
    "transformerencoderlayer": "torch's normalises after each sum, unless it has `norm_first`; the "
    "block `transformer_encoder_layer` before it, as ViT does",
    "upsamplingbilinear2d": (
        "write `upsample: {scale_factor: 2, mode: bilinear, align_corners: true}`"
    ),
    "circularpad1d circularpad2d circularpad3d": (
        "write `pad: {pad: [1, 1, 1, 1], mode: circular}`, with two widths for each axis"
    ),
    "constantpad1d constantpad2d constantpad3d": (
        "write `pad: {pad: [1, 1, 1, 1], value: 0.5}`, with two widths for each axis"
    ),
    "reflectionpad1d reflectionpad2d reflectionpad3d": (
        "write `pad: {pad: [1, 1, 1, 1], mode: reflect}`, with two widths for each axis"
    ),
    "replicationpad1d replicationpad2d replicationpad3d": (
        "write `pad: {pad: [1, 1, 1, 1], mode: replicate}`, with two widths for each axis"
    ),
    "zeropad1d zeropadding1d": "write `pad: [1, 1]`",
    "zeropad3d zeropadding3d": "write `pad: [1, 1, 1, 1, 1, 1]`",
    "zeropad zeropad2d zeropadding2d": "write `pad: [1, 1, 1, 1]`",
    "clone contiguous cpu cuda detach": "remove it: a spec does not decide it",
}
"""What to write instead, where it is more than another word."""

UNLIKE = ("dense", "transformerdecoderlayer", "transformerencoderlayer")
"""Words of other libraries that are blocks here, and mean something else or read several values."""

CLASSES = {
    "": "Softmax2d",
    "[1]": "Softmin",
    "[2, 4]": "FractionalMaxPool2d FractionalMaxPool3d",
}
"""Classes of torch.nn from one value to one that no op has, by arguments that show how."""

KEYS = {
    "archspec": "version",
    "axes": "axis dim dims",
    "below": "classes high max numclasses numembeddings range upper vocab vocabsize",
    "bias": "usebias",
    "blocks": "components definitions defs",
    "dilation": "dilationrate dilations",
    "dim": "axis",
    "dims": "axes axis perm",
    "doc": "comment description",
    "dropout": "dropoutrate",
    "dtype": "datatype type",
    "embedding_dim": "dim dmodel embeddim features outputdim outputsize",
    "end": "stop",
    "eps": "epsilon",
    "extends": "base inherits parent",
    "from": "bottom input inputs",
    "groups": "group",
    "input": "inputdim inputshape inputsize",
    "kernel_size": "filtersize kernel kernelshape ksize poolsize",
    "layers": "backbone body graph model modules net network nodes sequential",
    "max": "maxval maxvalue",
    "min": "minval minvalue",
    "mode": "interpolation",
    "name": "id label title",
    "negative_slope": "alpha slope",
    "num_embeddings": "inputdim numtokens size vocab vocabsize",
    "num_groups": "groups",
    "num_heads": "heads nhead",
    "out_channels": "channels cout filters nfilters numfilters numoutput outchannel outplanes "
    "outputchannels planes",
    "out_features": "features numoutput outputdim outputsize units",
    "p": "droprate prob rate",
    "params": "args arguments config hyperparameters variables",
    "padding": "pad pads",
    "padding_idx": "padidx paddingindex padindex padtokenid",
    "repeat": "loop times",
    "scale_factor": "factor scale",
    "shape": "outputshape size sizes targetshape",
    "size": "outputshape outputsize",
    "stride": "subsample",
    "train": "recipe training",
    "use": "import imports include",
    "when": "condition if",
}
"""Keys and arguments with other words for them; a help names a key only where it is known."""

ABOUT_KEYS = {
    "activation": "an activation is a node of its own, after this one: `- relu`",
    "batchnorm": "a normalisation is a node of its own, after this one: `- batch_norm`",
    "biasinitializer kernelinitializer initializer weightinit": (
        "`init:` at the top of the file says how all weights begin"
    ),
    "dataformat": "remove it: the channels come first",
    "batchfirst": "remove it: the batch always comes first",
    "device inplace": "remove it: a spec does not decide it",
    "dtype precision": "remove it: the option --dtype chooses the precision, not a spec",
    "dropoutprob keepprob": "`p` is the share that is dropped",
    "embeddim inchannels incchannels infeatures inplanes inputchannels inputdim inputshape "
    "inputsize normalizedshape numchannels numfeatures": (
        "remove it: input sizes follow from the node before"
    ),
    "units": "a layer of so many units is `linear: 10`",
    "kernelregularizer weightdecay": "the recipe has it: `train: {weight_decay: 0.0001}`",
}
"""The same for arguments that are nowhere an argument here."""

_IMAGES = "images come in as floats: write `float`, or leave `dtype` out"
TYPES = {
    "byte bytes uint8": f"{_IMAGES}; write `int32` for other bytes",
    "image picture pixels": _IMAGES,
    "chars str string text tokens": "text comes in as the numbers of its tokens: write `int64`",
}
"""What to write for the type of an input, where it is more than another word for the type."""


def type_elsewhere(word: str) -> str | None:
    """The help for a type that is none here."""
    if how := _by_word(TYPES).get(bare(word)):
        return how
    known = named_elsewhere(word)
    if known == "float":
        precision = "the network's working precision, which `--dtype` chooses"
        return f"`float` is {precision}: write `float`, or leave `dtype` out"
    return known and f"write `{known}`"


def _by_word(table: dict[str, str]) -> dict[str, str]:
    """`{"a b": text}` as `{"a": text, "b": text}`."""
    return {word: text for words, text in table.items() for word in words.split()}


def op_called(word: str) -> str | None:
    """The op or block that other libraries call so."""
    return next((op for op, words in OPS.items() if bare(word) in words.split()), None)


def op_elsewhere(word: str) -> str | None:
    """The help for a word that is no op here, where other libraries have it."""
    word = bare(word)
    if how := _by_word(HOW).get(word):
        return how
    if op := op_called(word):
        return f"it is called {op!r} here"
    for args, names in CLASSES.items():
        for name in names.split():
            if name.lower() == word:
                path = f"torch.nn.{name}"
                node = f"module: {{type: {path}, args: {args}}}" if args else f"module: {path}"
                return (
                    f"archspec has no such op; torch has: `{node}`, allowed by --allow-module torch"
                )
    return "a spec states no loss: the trainer has it" if word.endswith("loss") else None


def key_elsewhere(word: str, known: Collection[str]) -> str | None:
    """The help for a key or argument of another library, where `known` has what it means."""
    word = bare(word)
    for key, words in KEYS.items():
        if key in known and word in words.split():
            return f"it is called {key!r} here"
    return None


def about_argument(word: str) -> str | None:
    """The help for an argument of another library that no op has."""
    return _by_word(ABOUT_KEYS).get(bare(word))
