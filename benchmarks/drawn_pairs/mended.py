"""What drawn pairs have shown, so that a reader of the page sees what it was worth."""

MENDED = (
    "images upside down, transposed or inverted printed a number without a finding: "
    "`other-scaling` tries them",
    "a scaling inside the model in place of another, or applied twice: `other-scaling` tries these "
    "too, on up to 256 images",
    "an embedding taken for class scores printed 4.5 %: `unknown-classes`",
    "a few classes that swallow most images, far above chance: `class-shares`, and a wider "
    "`near-chance`",
    "scores behind a large temperature weaken attacks on the cross-entropy by 14 points: "
    "`flat-scores`",
    "a network in bfloat16 was called random because its rounding depends on the batch, so that no "
    "scaling was tried: the tolerance is that of its type",
    "frozen scripts in half precision, and modules of two types, were refused with advice about "
    "their size: they are asked in their own type",
    "the ONNX file of a transformer in float16 ended the process inside a fusion of onnxruntime: "
    "files are judged without fusions",
    "a model that raises TypeError at the first image ended in a traceback",
    "counters that no module holds (a mapping in a closure) stayed moved: they are put back, with "
    "`state-moved`",
    "a model that enables gradients by itself kept every graph alive",
    "a factory that returns a model on the meta device ended in a traceback",
    "images of NaN were blamed on the weights of the model",
    "a frozen TorchScript that counts in a part of it moved a tensor of the network that it was "
    "made of (pair 1811): attributes that freezing hides are put back",
    "of a network right on 84 % of 200 images upside down, 24 images did not tell that it would be "
    "right on 98 % of them the other way up (pair 1861): networks that are right on more than "
    "80 % are shown more images in each scaling",
)
