"""Known wrong answers to chapter 04, each with the misunderstanding behind it."""

from course.grading.answers import Answers
from solutions import ch04_unet as ref

answers = Answers()


# 4.1


answers.edit(
    "4.1",
    "BatchNorm instead of GroupNorm",
    "BatchNorm mixes the statistics of a batch whose images are at different noise levels. "
    "GroupNorm takes them from one image at a time.",
    ("nn.GroupNorm(groups, in_channels)", "nn.BatchNorm2d(in_channels)"),
    ("nn.GroupNorm(groups, out_channels)", "nn.BatchNorm2d(out_channels)"),
)

answers.edit(
    "4.1",
    "no shortcut",
    "What the two convolutions find is added to x, and the sum comes out. So the block only has to "
    "learn what to change.",
    ("h + self.shortcut(x)", "h"),
)


answers.edit(
    "4.1",
    "no shortcut where the channels differ",
    "Where the channels differ x does not fit into the sum as it is, but it is not left out: a "
    "1 x 1 convolution gives it the channels of the result.",
    ("nn.Conv2d(in_channels, out_channels, kernel_size=1)", "lambda x: 0"),
)


answers.edit(
    "4.1",
    "a convolution in every shortcut",
    "Where in_channels = out_channels, x itself is added. Only where they differ does x need a "
    "convolution, or it would not fit into the sum.",
    ("nn.Identity()", "nn.Conv2d(in_channels, out_channels, kernel_size=1)"),
)


answers.edit(
    "4.1",
    "a 1 x 1 shortcut only where channels become more",
    "Channels become more on the way down, but on the way up they become fewer, and x must fit "
    "there too. Ask whether the two numbers differ.",
    ("in_channels == out_channels", "in_channels >= out_channels"),
)

answers.edit(
    "4.1",
    "a 1 x 1 shortcut only where channels become fewer",
    "Channels become fewer on the way up, but on the way down they become more, and x must fit "
    "there too. Ask whether the two numbers differ.",
    ("in_channels == out_channels", "in_channels <= out_channels"),
)

answers.edit(
    "4.1",
    "channels and groups exchanged",
    "nn.GroupNorm takes the number of groups first and the number of channels second.",
    ("nn.GroupNorm(groups, in_channels)", "nn.GroupNorm(in_channels, groups)"),
    ("nn.GroupNorm(groups, out_channels)", "nn.GroupNorm(out_channels, groups)"),
)

answers.edit(
    "4.1",
    "the second norm made for in_channels",
    "After the first convolution there are out_channels channels, so that is what the second norm "
    "meets.",
    ("nn.GroupNorm(groups, out_channels)", "nn.GroupNorm(groups, in_channels)"),
)

answers.edit(
    "4.1",
    "the shortcut begins after the norm",
    "The shortcut carries x as it came in. If the norm's result was called x as well, the x that "
    "came in is lost: give it another name.",
    ("self.shortcut(x)", "self.shortcut(self.norm1(x))"),
)

answers.edit(
    "4.1",
    "SiLU after the sum",
    "Older residual networks end in an activation. This one ends with the sum, so that nothing "
    "is in the way of the shortcut.",
    ("h + self.shortcut(x)", "F.silu(h + self.shortcut(x))"),
)

answers.edit(
    "4.1",
    "the sum divided by the root of 2",
    "Some networks rescale the sum to keep the variance. Here it is a plain sum.",
    ("h + self.shortcut(x)", "(h + self.shortcut(x)) / math.sqrt(2)"),
)


answers.edit(
    "4.1",
    "a 3 x 3 shortcut",
    "The shortcut only mends the number of channels, pixel by pixel. Looking around is the "
    "branch's work.",
    ("out_channels, kernel_size=1)", "out_channels, kernel_size=3, padding=1)"),
)


answers.edit(
    "4.1",
    "cond ignored",
    "The block takes cond but does nothing with it. The network then knows neither the noise level "
    "nor the digit.",
    ("h + bias[:, :, None, None]", "h"),
)

answers.edit(
    "4.1",
    "the first image's cond for all",
    "Every image of a batch has its own time and its own label, so each gets its own row of cond.",
    ("F.silu(cond)", "F.silu(cond[:1])"),
)

answers.edit(
    "4.1",
    "cond without its two axes",
    "The projected cond has shape (B, out_channels), h has shape (B, out_channels, H, W). Give "
    "cond two more axes of length 1, so that each number goes to all pixels of its channel.",
    ("bias[:, :, None, None]", "bias"),
)

answers.edit(
    "4.1",
    "no SiLU on cond",
    "cond comes from a linear layer. If another one reads it at once, the two are a single linear "
    "layer. cond passes through a SiLU first.",
    ("F.silu(cond)", "cond"),
)

answers.edit(
    "4.1",
    "SiLU after the linear layer of cond",
    "The order is SiLU first, then W. What comes out of a SiLU is never below -0.28, so cond "
    "could push channels up, but hardly down.",
    ("self.cond_proj(F.silu(cond))", "F.silu(self.cond_proj(cond))"),
)

answers.edit(
    "4.1",
    "h times cond instead of h plus cond",
    "Scaling channels by cond is another design (FiLM). Here cond is added.",
    ("h + bias", "h * bias"),
)

answers.edit(
    "4.1",
    "cond added before the first convolution",
    "There it is one number for each channel that comes in, half a block too early. It is added to "
    "the channels that the first convolution has made.",
    ("nn.Linear(cond_dim, out_channels)", "nn.Linear(cond_dim, in_channels)"),
    (
        "        h = self.conv1(F.silu(self.norm1(x)))  # (B, out, H, W)\n"
        "        bias = self.cond_proj(F.silu(cond))  # (B, out)\n"
        "        h = h + bias[:, :, None, None]  # (B, out) -> (B, out, 1, 1)\n",
        "        bias = self.cond_proj(F.silu(cond))\n"
        "        h = self.conv1(F.silu(self.norm1(x + bias[:, :, None, None])))\n",
    ),
)

answers.edit(
    "4.1",
    "cond added after the second norm",
    "cond is added before the second norm, so that the second half of the block can work with it "
    "in full: norm, SiLU, convolution.",
    ("h + bias", "self.norm2(h) + bias"),
    ("F.silu(self.norm2(h))", "F.silu(h)"),
)

answers.edit(
    "4.1",
    "cond added at the end",
    "After the second convolution nothing can react to cond any more. It is added in between.",
    ("h + bias[:, :, None, None]", "h"),
    ("h + self.shortcut(x)", "h + self.shortcut(x) + bias[:, :, None, None]"),
)

answers.edit(
    "4.1",
    "cond that differs from pixel to pixel",
    "Each image and channel gets one number, the same for all of its pixels.",
    ("bias[:, :, None, None]", "bias[:, :, None, None] * torch.linspace(0, 1, h.shape[-1])"),
)

answers.edit(
    "4.1",
    "convolution first, then norm and SiLU",
    "Many networks do it in that order. This block begins with the norm: norm, SiLU, convolution, "
    "and the same again.",
    ("nn.GroupNorm(groups, in_channels)", "nn.GroupNorm(groups, out_channels)"),
    ("self.conv1(F.silu(self.norm1(x)))", "F.silu(self.norm1(self.conv1(x)))"),
    ("self.conv2(F.silu(self.norm2(h)))", "F.silu(self.norm2(self.conv2(h)))"),
)

answers.edit(
    "4.1",
    "SiLU before the norm",
    "The norm comes first: SiLU bends around zero, and the norm brings the values there.",
    ("F.silu(self.norm1(x))", "self.norm1(F.silu(x))"),
    ("F.silu(self.norm2(h))", "self.norm2(F.silu(h))"),
)

answers.edit(
    "4.1",
    "ReLU instead of SiLU",
    "SiLU(x) = x * sigmoid(x) is smooth and slightly negative for x < 0, where ReLU is 0.",
    ("F.silu(self.norm1(x))", "F.relu(self.norm1(x))"),
    ("F.silu(self.norm2(h))", "F.relu(self.norm2(h))"),
)

answers.edit(
    "4.1",
    "no norm in the second half",
    "Both halves of the branch begin with a GroupNorm of their own.",
    ("nn.GroupNorm(groups, out_channels)", "nn.Identity()"),
)

answers.edit(
    "4.1",
    "one group for all channels",
    "With a single group all channels share one mean and one spread. Divide them into `groups`.",
    ("nn.GroupNorm(groups, in_channels)", "nn.GroupNorm(1, in_channels)"),
    ("nn.GroupNorm(groups, out_channels)", "nn.GroupNorm(1, out_channels)"),
)

answers.edit(
    "4.1",
    "a group for every channel",
    "With one channel to a group, the norm takes out each channel's own mean, and so exactly what "
    "cond has just added to it. In `groups` groups, several channels share one mean.",
    ("nn.GroupNorm(groups, in_channels)", "nn.GroupNorm(in_channels, in_channels)"),
    ("nn.GroupNorm(groups, out_channels)", "nn.GroupNorm(out_channels, out_channels)"),
)

answers.edit(
    "4.1",
    "groups taken for the size of a group",
    "`groups` is how many groups there are; the channels in each are channels / groups.",
    ("nn.GroupNorm(groups, in_channels)", "nn.GroupNorm(in_channels // groups, in_channels)"),
    ("nn.GroupNorm(groups, out_channels)", "nn.GroupNorm(out_channels // groups, out_channels)"),
)

answers.edit(
    "4.1",
    "convolutions without padding",
    "A 3 x 3 window does not fit around the pixels of the rim; padding 1 adds a rim of zeros, so "
    "that height and width stay.",
    (
        "(in_channels, out_channels, kernel_size=3, padding=1",
        "(in_channels, out_channels, kernel_size=3",
    ),
    (
        "(out_channels, out_channels, kernel_size=3, padding=1",
        "(out_channels, out_channels, kernel_size=3",
    ),
    ("self.shortcut(x)", "self.shortcut(x)[..., 2:-2, 2:-2]"),
)

answers.edit(
    "4.1",
    "one norm used twice",
    "Where the channels agree, one norm would fit in both places. But what goes through them "
    "differs, so each has a scale and an offset of its own: make two.",
    (
        "self.norm2 = nn.GroupNorm(groups, out_channels)",
        "self.norm2 = self.norm1\n"
        "        if in_channels != out_channels:\n"
        "            self.norm2 = nn.GroupNorm(groups, out_channels)",
    ),
)

answers.edit(
    "4.1",
    "one convolution used twice",
    "conv_1 and conv_2 are two layers with weights of their own, also where they have one shape.",
    (
        "self.shortcut = nn.Identity()",
        "self.shortcut = nn.Identity()\n            self.conv2 = self.conv1",
    ),
)

answers.edit(
    "4.1",
    "cond cut from the gradient",
    "The time MLP and the class table learn through the gradient of cond. Without it they stay as "
    "they began.",
    ("F.silu(cond)", "F.silu(cond.detach())"),
)


answers.edit(
    "4.1",
    "bias=False in the convolutions and in the layer of cond",
    "A convolution before a norm can do without a bias, but then the layer for cond needs one: it "
    "is what is added when cond says nothing.",
    (
        "(in_channels, out_channels, kernel_size=3, padding=1",
        "(in_channels, out_channels, kernel_size=3, padding=1, bias=False",
    ),
    ("nn.Linear(cond_dim, out_channels)", "nn.Linear(cond_dim, out_channels, bias=False)"),
)


answers.edit(
    "4.1",
    "another default for groups",
    "Keep the signature: without groups, a caller expects 8.",
    ("groups: int = 8", "groups: int = 4"),
)


answers.again(
    "4.1",
    "the shortcut begins after the norm",
    ("self.shortcut(x)", "self.shortcut(F.silu(self.norm1(x)))"),
)

answers.edit(
    "4.1",
    "a SiLU left out before a convolution",
    "Both convolutions come after a norm and a SiLU. Without the bend between them, more layers "
    "can do no more than fewer.",
    ("F.silu(self.norm2(h))", "self.norm2(h)"),
)

answers.again(
    "4.1", "a SiLU left out before a convolution", ("F.silu(self.norm1(x))", "self.norm1(x)")
)

answers.again(
    "4.1",
    "a SiLU left out before a convolution",
    ("F.silu(self.norm1(x))", "self.norm1(x)"),
    ("F.silu(self.norm2(h))", "self.norm2(h)"),
)

answers.again("4.1", "no norm in the second half", ("F.silu(self.norm2(h))", "F.silu(h)"))

answers.edit(
    "4.1",
    "cond scales and shifts behind the second norm",
    "That is another design, FiLM or adaptive normalisation. Here cond adds one number to each "
    "channel, before the second norm, and scales nothing.",
    ("nn.Linear(cond_dim, out_channels)", "nn.Linear(cond_dim, 2 * out_channels)"),
    ("h = h + bias[:, :, None, None]", "scale, shift = bias[:, :, None, None].chunk(2, dim=1)"),
    ("F.silu(self.norm2(h))", "F.silu(self.norm2(h) * (1 + scale) + shift)"),
)

answers.again(
    "4.1",
    "cond scales and shifts behind the second norm",
    ("nn.Linear(cond_dim, out_channels)", "nn.Linear(cond_dim, 2 * out_channels)"),
    ("h = h + bias[:, :, None, None]", "scale, shift = bias[:, :, None, None].chunk(2, dim=1)"),
    ("F.silu(self.norm2(h))", "F.silu(self.norm2(h) * scale + shift)"),
)

answers.edit(
    "4.1",
    "one number for all channels",
    "cond has something different to say to each channel: its linear layer gives as many numbers "
    "as there are channels.",
    ("nn.Linear(cond_dim, out_channels)", "nn.Linear(cond_dim, 1)"),
)

answers.edit(
    "4.1",
    "dropout before the second convolution",
    "The original network has it there. This block leaves nothing to chance: norm, SiLU, "
    "convolution, and nothing between them.",
    ("F.silu(self.norm2(h))", "F.dropout(F.silu(self.norm2(h)), 0.1, self.training)"),
)

answers.edit(
    "4.1",
    "the caller's cond overwritten",
    "inplace=True writes the result into the caller's tensor, and the next block then gets a cond "
    "that has been through a SiLU already. Leave it out.",
    ("F.silu(cond)", "F.silu(cond, inplace=True)"),
)


# 4.2


answers.edit(
    "4.2",
    "pooling instead of a convolution",
    "Average pooling has no weights. Here the network learns how to make four pixels into one.",
    (
        "nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)",
        "nn.AvgPool2d(2, ceil_mode=True)",
    ),
)

answers.edit(
    "4.2",
    "a 3 x 3 window without padding on the way down",
    "Without padding the window has to fit inside, and the result is one row and one column short.",
    ("stride=2, padding=1", "stride=2"),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n"
        "        x = F.pad(x, (0, max(0, 3 - x.shape[-1]), 0, max(0, 3 - x.shape[-2])))\n"
        "        return self.conv(x)",
    ),
)

answers.edit(
    "4.2",
    "padding on one side only",
    "Padding 1 adds zeros on all four sides. On the right and at the bottom only, each window "
    "sits one pixel further on.",
    ("stride=2, padding=1", "stride=2"),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n        return self.conv(F.pad(x, (0, 2, 0, 2)))",
    ),
)

answers.edit(
    "4.2",
    "height and width not halved",
    "A stride of 1 puts a result at every pixel. A stride of 2 puts one at every second pixel.",
    (", stride=2", ""),
)

answers.edit(
    "4.2",
    "a 2 x 2 convolution with stride 2",
    "Windows of 2 x 2 do not overlap, and no window sees across their borders. Use 3 x 3.",
    ("kernel_size=3, stride=2, padding=1", "kernel_size=2, stride=2"),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n        return self.conv(F.pad(x, (0, 1, 0, 1)))",
    ),
)

answers.edit(
    "4.2",
    "convolution, then pooling",
    "The stride alone halves the image. Pooling after it blurs what the convolution has made.",
    (", stride=2", ""),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n        return F.avg_pool2d(self.conv(x), 2, ceil_mode=True)",
    ),
)

answers.edit(
    "4.2",
    "pooling, then a convolution",
    "Pooling has no weights and decides by itself what is kept of four pixels. One convolution "
    "with a stride does both at once.",
    (", stride=2", ""),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n        return self.conv(F.max_pool2d(x, 2, ceil_mode=True))",
    ),
)

answers.edit(
    "4.2",
    "each channel for itself on the way down",
    "groups=channels makes a depthwise convolution. The ordinary one mixes all channels.",
    ("stride=2, padding=1", "stride=2, padding=1, groups=channels"),
)

answers.edit(
    "4.2",
    "an activation after the convolution",
    "Down- and upsampling are linear. The next ResBlock begins with a norm and a SiLU.",
    ("Tensor:\n        return self.conv(x)", "Tensor:\n        return F.silu(self.conv(x))"),
)

answers.edit(
    "4.2",
    "every second pixel, convolved afterwards",
    "Convolve first and keep every second result. In your order three quarters of the pixels are "
    "thrown away before anything has looked at them.",
    (", stride=2", ""),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n        return self.conv(x[:, :, ::2, ::2])",
    ),
)

answers.planted(
    "4.2",
    "a transposed convolution with windows of three",
    "Its windows overlap unevenly: one, two or four of them reach a new pixel, which shows as a "
    "checkerboard. Give every new pixel a value first, then convolve.",
)

answers.edit(
    "4.2",
    "a transposed convolution with windows of four",
    "Now four windows reach every pixel, but the four children of an old pixel still get four "
    "different sets of weights. Give every new pixel a value first, then convolve.",
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "x"),
    (
        "Conv2d(channels, channels, kernel_size=3, padding=1)",
        "ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1)",
    ),
)

answers.edit(
    "4.2",
    "a transposed convolution, smoothed afterwards",
    "A second convolution cannot take out a pattern whatever the weights are. Do not let it come "
    "about: give every new pixel a value first, then convolve.",
    (
        "Conv2d(channels, channels, kernel_size=3, padding=1)",
        "Sequential(\n"
        "            nn.ConvTranspose2d(channels, channels, 3, 2, padding=1, output_padding=1),\n"
        "            nn.Conv2d(channels, channels, kernel_size=3, padding=1),\n"
        "        )",
    ),
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "x"),
)

answers.edit(
    "4.2",
    "a pixel shuffle",
    "A pixel shuffle makes the four children of a pixel with four different kernels, which shows "
    "as a checkerboard. All of them have to begin alike: fill the larger picture first.",
    (
        "Conv2d(channels, channels, kernel_size=3, padding=1)",
        "Conv2d(channels, 4 * channels, kernel_size=3, padding=1)",
    ),
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "x"),
    ("2W)\n        return self.conv(x)", "2W)\n        return F.pixel_shuffle(self.conv(x), 2)"),
)

answers.edit(
    "4.2",
    "a 3 x 3 window without padding on the way up",
    "Without padding the 3 x 3 window has to fit inside, and the image loses a pixel on each side.",
    ("kernel_size=3, padding=1", "kernel_size=3"),
)

answers.edit(
    "4.2",
    "ones made on the CPU",
    "torch.ones and the like make tensors on the CPU unless they are told where. An x on a GPU "
    "does not go together with them: device=x.device.",
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "torch.kron(x, torch.ones(2, 2))"),
)

answers.edit(
    "4.2",
    "bilinear enlargement",
    "mode='nearest' repeats each pixel. Bilinear mixes neighbours before the convolution can.",
    ("nearest", "bilinear"),
)

answers.edit(
    "4.2",
    "repetition without a convolution",
    "The repetition leaves steps of 2 x 2 pixels. A convolution after it smooths them.",
    ("nn.Conv2d(channels, channels, kernel_size=3, padding=1)", "nn.Identity()"),
)

answers.edit(
    "4.2",
    "convolution before the repetition",
    "Repeat first. What is convolved before still has steps of 2 x 2 pixels afterwards.",
    ("F.interpolate(x,", "F.interpolate(self.conv(x),"),
    ("2W)\n        return self.conv(x)", "2W)\n        return x"),
)

answers.edit(
    "4.2",
    "the image laid out four times",
    "tile and repeat put copies of the image side by side. Each single pixel has to grow: "
    "repeat_interleave, or interpolate with mode='nearest'.",
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "x.repeat(1, 1, 2, 2)"),
)

answers.edit(
    "4.2",
    "only the width doubled",
    "Both height and width double.",
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "x.repeat_interleave(2, dim=3)"),
)

answers.edit(
    "4.2",
    "zeros between the pixels",
    "Among zeros the 3 x 3 window meets one, two or four pixels, depending on where it is: a "
    "checkerboard. Fill the gaps with copies of the pixel.",
    (
        'F.interpolate(x, scale_factor=2, mode="nearest")',
        "torch.kron(x, x.new_tensor([[1, 0], [0, 0]]))",
    ),
)

answers.edit(
    "4.2",
    "each channel for itself on the way up",
    "groups=channels makes a depthwise convolution. The ordinary one mixes all channels.",
    ("kernel_size=3, padding=1", "kernel_size=3, padding=1, groups=channels"),
)

answers.edit(
    "4.2",
    "the rim repeated instead of zeros",
    "padding=1 alone pads with zeros. Other padding modes treat the rim differently.",
    ("kernel_size=3, padding=1", 'kernel_size=3, padding=1, padding_mode="replicate"'),
)


answers.edit(
    "4.2",
    "a 1 x 1 convolution on the way down",
    "With a window of one pixel and a stride of 2, three of four pixels are never looked at. A "
    "3 x 3 window sees them all.",
    ("kernel_size=3, stride=2, padding=1", "kernel_size=1, stride=2"),
)

answers.again(
    "4.2",
    "pooling, then a convolution",
    (", stride=2", ""),
    (
        "Tensor:\n        return self.conv(x)",
        "Tensor:\n        return self.conv(F.avg_pool2d(x, 2, ceil_mode=True))",
    ),
)

answers.again(
    "4.2",
    "the rim repeated instead of zeros",
    ("stride=2, padding=1", 'stride=2, padding=1, padding_mode="replicate"'),
)

answers.edit(
    "4.2",
    "a transposed convolution with windows of two",
    "Its windows do not overlap, but the four children of an old pixel get four different weights. "
    "Give every new pixel a value first, then convolve.",
    ('F.interpolate(x, scale_factor=2, mode="nearest")', "x"),
    (
        "Conv2d(channels, channels, kernel_size=3, padding=1)",
        "ConvTranspose2d(channels, channels, kernel_size=2, stride=2)",
    ),
)

answers.again(
    "4.2",
    "repetition without a convolution",
    ("2W)\n        return self.conv(x)", "2W)\n        return x"),
)

answers.edit(
    "4.2",
    "a 1 x 1 convolution on the way up",
    "The repetition leaves steps of 2 x 2 pixels. A window of one pixel keeps them; one of 3 x 3 "
    "smooths them.",
    ("kernel_size=3, padding=1", "kernel_size=1"),
)

answers.edit(
    "4.2",
    "four copies in a row, then reshaped",
    "Each pixel grows to two beside each other and two below each other. Four in a row, cut into "
    "rows of double length, move pixels to other places.",
    (
        'F.interpolate(x, scale_factor=2, mode="nearest")',
        "x.repeat_interleave(4, dim=-1).reshape(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])",
    ),
)

answers.edit(
    "4.2",
    "the enlarged image added to the result",
    "The ResBlocks have shortcuts. Here the convolution's result is all there is.",
    ("2W)\n        return self.conv(x)", "2W)\n        return x + self.conv(x)"),
)


# 4.3


answers.edit(
    "4.3",
    "a group for every channel",
    "nn.GroupNorm takes the number of groups first: `groups`, and the channels second.",
    ("nn.GroupNorm(groups, channels)", "nn.GroupNorm(channels, channels)"),
)

answers.edit(
    "4.3",
    "no shortcut",
    "Attention adds to x what the pixels learn from each other. Without x in the sum, the image "
    "itself is lost.",
    ("return x + h", "return h"),
)

answers.edit(
    "4.3",
    "the shortcut begins after the norm",
    "What is added is x as it came in, not the normalised image.",
    ("return x + h", "return self.norm(x) + h"),
)

answers.edit(
    "4.3",
    "no norm",
    "Query, key and value are made from GroupNorm(x). Without it large values sharpen the softmax "
    "until each pixel sees one other only.",
    ("self.norm(x)", "x"),
)

answers.edit(
    "4.3",
    "LayerNorm over each pixel's channels",
    "GroupNorm takes its statistics from all pixels of an image. A LayerNorm on (B, N, C) looks at "
    "one pixel at a time.",
    (
        "self.norm(x).flatten(2).transpose(1, 2)",
        "F.layer_norm(x.flatten(2).transpose(1, 2), (channels,))",
    ),
)

answers.edit(
    "4.3",
    "no scale",
    "A score is a sum over C channels, and grows with the root of C. Divide that out, or the "
    "softmax gives nearly all its weight to one pixel.",
    (" / math.sqrt(channels)", ""),
)

answers.edit(
    "4.3",
    "divided by C instead of its root",
    "The scores have a standard deviation of about sqrt(C), so that is what they are divided by.",
    ("math.sqrt(channels)", "channels"),
)

answers.edit(
    "4.3",
    "divided by the spread of the scores themselves",
    "Measured on the scores, the spread is always 1 afterwards, and no training could make a row "
    "sharper or flatter. Divide by what random numbers would give: a sum of C products.",
    (" / math.sqrt(channels)", ""),
    ("scores.softmax(dim=-1)", "(scores / scores.std(dim=(1, 2), keepdim=True)).softmax(dim=-1)"),
)

answers.edit(
    "4.3",
    "divided by the root of the number of pixels",
    "A score is a sum over channels, so its size depends on C. How many pixels there are does not "
    "matter.",
    ("math.sqrt(channels)", "math.sqrt(height * width)"),
)

answers.edit(
    "4.3",
    "divided after the softmax",
    "Scale the scores first. Divided afterwards, the weights of a row no longer sum to 1.",
    (" / math.sqrt(channels)", ""),
    ("scores.softmax(dim=-1)", "scores.softmax(dim=-1) / math.sqrt(channels)"),
)

answers.edit(
    "4.3",
    "softmax over the looking pixels",
    "Row i holds the scores of pixel i for all others and has to sum to 1: the softmax runs along "
    "the last axis.",
    ("dim=-1", "dim=1"),
)

answers.edit(
    "4.3",
    "softmax over the batch",
    "dim=0 is the axis of the images, which then share out the attention among themselves. It has "
    "to run over the pixels that are looked at, the last axis.",
    ("dim=-1", "dim=0"),
)

answers.edit(
    "4.3",
    "dropout on the weights",
    "Transformers often have it. Here nothing is left to chance, and every row sums to 1.",
    ("scores.softmax(dim=-1)", "F.dropout(scores.softmax(dim=-1), 0.1, self.training)"),
)

answers.edit(
    "4.3",
    "the scores themselves as weights",
    "The scores become weights only by the softmax: positive, with sum 1.",
    ("scores.softmax(dim=-1)", "scores"),
)

answers.edit(
    "4.3",
    "a sigmoid instead of the softmax",
    "A sigmoid judges each pair alone, so a pixel could receive the sum of all values. The softmax "
    "shares out one unit of attention.",
    ("scores.softmax(dim=-1)", "scores.sigmoid()"),
)

answers.edit(
    "4.3",
    "channels look at channels",
    "q^T k is a C x C table: which channel resembles which. Here pixels look at pixels, N x N.",
    ("q @ k.transpose(1, 2)", "q.transpose(1, 2) @ k"),
    ("weights @ v", "v @ weights.transpose(1, 2)"),
)

answers.edit(
    "4.3",
    "pixels look across the batch",
    "All images' pixels are in one table here. Keep the batch axis apart: (B, N, N).",
    (".flatten(2).transpose(1, 2)", ".flatten(2).transpose(1, 2).reshape(1, -1, channels)"),
    ("self.to_out(weights @ v)", "self.to_out(weights @ v).reshape(batch, -1, channels)"),
)

answers.edit(
    "4.3",
    "view instead of transpose on the way in",
    "(B, C, H, W) reshaped to (B, N, C) cuts the memory into rows of C that mix pixels and "
    "channels. Flatten the pixels, then swap the two axes.",
    (".flatten(2).transpose(1, 2)", ".reshape(batch, -1, channels)"),
)

answers.edit(
    "4.3",
    "reshape without the transpose on the way out",
    "(B, N, C) has the channels last. Swap the axes back before the pixels become an image again.",
    ("h.transpose(1, 2).reshape", "h.reshape"),
)

answers.edit(
    "4.3",
    "the result left as a list of N pixels",
    "Inside, an image is a list of N pixels. At the end it becomes an image again, (B, C, H, W).",
    ("return x + h", "return (x + h).flatten(2)"),
)

answers.edit(
    "4.3",
    "height and width swapped on the way out",
    "The pixels were flattened row by row, so they come back as (H, W). Read as (W, H) they land "
    "in other places, and nothing raises an error.",
    ("channels, height, width)", "channels, width, height).transpose(2, 3)"),
)

answers.edit(
    "4.3",
    "pixels look along their row only",
    "Every pixel looks at all H W pixels. With the height folded into the batch, rows never meet.",
    (".flatten(2).transpose(1, 2)", ".permute(0, 2, 3, 1)"),
    ("k.transpose(1, 2)", "k.transpose(-1, -2)"),
    ("h.transpose(1, 2).reshape(batch, channels, height, width)", "h.permute(0, 3, 1, 2)"),
)

answers.edit(
    "4.3",
    "two heads",
    "With heads, the channels are split and each part attends on its own, scaled by its own "
    "length. Here there is one head with all channels.",
    (
        "q, k, v = self.to_q(n), self.to_k(n), self.to_v(n)",
        "maps = self.to_q, self.to_k, self.to_v\n"
        "        q, k, v = (f(n).unflatten(2, (2, -1)).transpose(1, 2) for f in maps)",
    ),
    ("k.transpose(1, 2) / math.sqrt(channels)", "k.transpose(2, 3) / math.sqrt(channels // 2)"),
    ("weights @ v", "(weights @ v).transpose(1, 2).flatten(2)"),
)

answers.edit(
    "4.3",
    "W_v or W_o left out",
    "There are four matrices. Not n itself is averaged, but v = W_v n, and what a pixel has "
    "received goes through W_o before it is added to x.",
    ("to_out = nn.Linear(channels, channels)", "to_out = nn.Identity()"),
)

answers.edit(
    "4.3",
    "the query used as the key, too",
    "With W_q = W_k whatever looks at a pixel is looked at in return. They are two matrices.",
    ("to_k = nn.Linear(channels, channels)", "to_k = self.to_q"),
)

answers.edit(
    "4.3",
    "always two groups",
    "The number of groups is the caller's second argument; a fixed number only fits by chance.",
    ("GroupNorm(groups,", "GroupNorm(2,"),
)

answers.edit(
    "4.3",
    "another default for groups",
    "Keep the signature: without groups, a caller expects 8.",
    ("groups: int = 8", "groups: int = 4"),
)

answers.edit(
    "4.3",
    "the weights cut from the gradient",
    "With A detached W_q and W_k never learn where to look.",
    ("scores.softmax(dim=-1)", "scores.softmax(dim=-1).detach()"),
)

answers.edit(
    "4.3",
    "a plain mean over the pixels",
    "A mean gives every pixel the same. Here each pixel has weights of its own, from its own "
    "scores, and receives its own mixture.",
    ("scores.softmax(dim=-1)", "torch.full_like(scores, 1 / (height * width))"),
)


answers.edit(
    "4.3",
    "the values made from x itself",
    "Query, key and value are all made from n = GroupNorm(x). Only the shortcut takes x as it is.",
    ("self.to_v(n)", "self.to_v(x.flatten(2).transpose(1, 2))"),
)

answers.again("4.3", "the query used as the key, too", ("self.to_k(n)", "self.to_q(n)"))

answers.again("4.3", "W_v or W_o left out", ("self.to_out(weights @ v)", "weights @ v"))

answers.again("4.3", "W_v or W_o left out", ("self.to_v(n)", "n"))

answers.again(
    "4.3",
    "channels look at channels",
    (
        "q @ k.transpose(1, 2) / math.sqrt(channels)",
        "q.transpose(1, 2) @ k / math.sqrt(n.shape[1])",
    ),
    ("weights @ v", "v @ weights.transpose(1, 2)"),
)

answers.edit(
    "4.3",
    "divided by the fourth root of C",
    "The scores have a standard deviation of about sqrt(C). The fourth root is enough only if both "
    "the queries and the keys are divided by it.",
    ("math.sqrt(channels)", "channels**0.25"),
)


# 4.4


answers.edit(
    "4.4",
    "skips from the wrong end",
    "The way up begins at the lowest level, so it needs the last skip first: a stack, not a queue.",
    ("skips.pop()", "skips.pop(0)"),
)

answers.edit(
    "4.4",
    "skips kept after the Downsample",
    "skip_i is the ResBlock's result at the resolution of level i. After Downsample it is already "
    "too small for that level.",
    (
        "skips.append(h)\n            h = downsample(h)",
        "h = downsample(h)\n            skips.append(h)",
    ),
)

answers.edit(
    "4.4",
    "skips that are never used",
    "The skips are stored, but the way up does without them. Fine detail then has to pass through "
    "the lowest resolution, where there is no room for it.",
    ("before + width", "before"),
    ("torch.cat([h, skips.pop()], dim=1)", "h"),
)

answers.edit(
    "4.4",
    "h joined with itself",
    "The second half of the concatenation is the skip, not h once more.",
    ("[h, skips.pop()]", "[h, h]"),
)

answers.edit(
    "4.4",
    "skips full of zeros",
    "The concatenation has the right shape, but its second half says nothing. It has to be what "
    "this level saw on the way down.",
    ("skips.pop()", "torch.zeros_like(skips.pop())"),
)

answers.edit(
    "4.4",
    "skips added instead of joined",
    "A sum forces both to have the same channels and mixes them at once. Joined along the "
    "channels, the ResBlock learns what to take from each.",
    ("before + width", "before"),
    (
        "h = torch.cat([h, skips.pop()], dim=1)",
        "skip = skips.pop()\n            h = h[:, : skip.shape[1]] + skip[:, : h.shape[1]]",
    ),
)

answers.edit(
    "4.4",
    "joined along the height",
    "dim=1 is the axis of the channels. Along dim=2 the skip lies below the image instead of "
    "behind it.",
    (
        "h = torch.cat([h, skips.pop()], dim=1)",
        "skip = skips.pop()\n"
        "            width = max(h.shape[1], skip.shape[1])\n"
        "            h, skip = (F.pad(a, (0, 0, 0, 0, 0, width - a.shape[1])) for a in (h, skip))\n"
        "            h = torch.cat([h, skip], dim=2)",
    ),
)

answers.edit(
    "4.4",
    "twice the level's channels on the way up",
    "h comes from the level below and has its channels, not this level's. Add the two numbers.",
    ("before + width", "2 * width"),
)

answers.edit(
    "4.4",
    "the label ignored",
    "cond is the sum of both embeddings. Without the label the network draws some digit, never the "
    "one that was asked for.",
    ("self.class_embedding(labels)", "0 * self.class_embedding(labels)"),
)

answers.edit(
    "4.4",
    "the time ignored",
    "cond is the sum of both embeddings. Without the time the network cannot know how much noise "
    "there is.",
    ("self.time_embedding(t)", "0 * self.time_embedding(t)"),
)

answers.edit(
    "4.4",
    "time and class side by side",
    "Both embeddings have cond_dim numbers, and so has their sum. Side by side they have twice as "
    "many.",
    (
        "self.time_embedding(t) + self.class_embedding(labels)",
        "torch.cat([self.time_embedding(t), self.class_embedding(labels)], dim=1)",
    ),
)

answers.edit(
    "4.4",
    "time multiplied by class",
    "In a product a zero in one silences the other. The embeddings are added.",
    ("(t) + self", "(t) * self"),
)

answers.edit(
    "4.4",
    "t and the labels swapped",
    "time_embedding gets t, class_embedding gets the labels.",
    ("time_embedding(t)", "time_embedding(labels)"),
    ("class_embedding(labels)", "class_embedding(t)"),
)

answers.edit(
    "4.4",
    "t made a float",
    "time_embedding is handed t as it came in, int64. What it makes of the number is its own "
    "affair: chapter 03's calculates in float32 by itself, and a table could not look a float up.",
    ("self.time_embedding(t)", "self.time_embedding(t.float())"),
)

answers.edit(
    "4.4",
    "cond on the way down only",
    "Every ResBlock is told the time and the class, those in the middle and on the way up too.",
    (
        "        h = self.middle1(h, cond)",
        "        cond = torch.zeros_like(cond)\n        h = self.middle1(h, cond)",
    ),
)

answers.edit(
    "4.4",
    "SiLU on cond already here",
    "Each ResBlock passes cond through a SiLU itself. A second one distorts it.",
    ("h = self.conv_in(x)", "cond = F.silu(cond)\n        h = self.conv_in(x)"),
)

answers.edit(
    "4.4",
    "a Downsample on the last level too",
    "L resolutions need L-1 halvings. The middle works at the resolution of the last level.",
    ("self.downsamples[-1] = nn.Identity()", ""),
)

answers.edit(
    "4.4",
    "an Upsample on level 0 too",
    "On level 0 the full resolution is reached already; one more doubling makes the image too "
    "large.",
    ("self.upsamples[-1] = nn.Identity()", ""),
)

answers.edit(
    "4.4",
    "Downsample before the ResBlock",
    "On each level the ResBlock comes first, and what it gives is kept. Then Downsample leads to "
    "the level below.",
    ("            h = downsample(h)  # (B, c_i, H_i/2, W_i/2)\n", ""),
    ("self.downsamples):\n", "self.downsamples):\n            h = downsample(h)\n"),
)

answers.edit(
    "4.4",
    "the input of each level kept as its skip",
    "skip_i is what the ResBlock of level i gives, not what it receives: keep h after the block.",
    ("            skips.append(h)\n", ""),
    ("self.downsamples):\n", "self.downsamples):\n            skips.append(h)\n"),
)

answers.edit(
    "4.4",
    "skips joined after the ResBlock",
    "The ResBlock on the way up receives h and the skip together, and makes c_i channels of them. "
    "Joined afterwards, no block has looked at the skip, and h has too many channels.",
    ("GroupNorm(groups, channels[0])", "GroupNorm(groups, 2 * channels[0])"),
    ("Conv2d(channels[0],", "Conv2d(2 * channels[0],"),
    ("before + width", "before"),
    (
        "blocks.Upsample(width))\n            before = width",
        "blocks.Upsample(2 * width))\n            before = 2 * width",
    ),
    ("            h = torch.cat([h, skips.pop()], dim=1)", ""),
    ("h = upsample(h)", "h = upsample(torch.cat([h, skips.pop()], dim=1))"),
)

answers.edit(
    "4.4",
    "Upsample before the ResBlock",
    "On each level the ResBlock comes first, at the level's own resolution, and Upsample leads to "
    "the level above.",
    ("torch.cat([h,", "torch.cat([upsample(h),"),
    ("            h = upsample(h)", ""),
)

answers.edit(
    "4.4",
    "enlarged by hand",
    "The blocks for changing the resolution are handed in: blocks.Upsample has weights that learn.",
    ("blocks.Upsample(width)", "nn.Upsample(scale_factor=2)"),
)

answers.edit(
    "4.4",
    "a single middle block",
    "There are two ResBlocks in the middle, with the attention between them.",
    ("        h = self.middle2(h, cond)\n", ""),
)

answers.edit(
    "4.4",
    "one middle block used twice",
    "Calling one block twice shares its weights. Make two.",
    (
        "self.middle2 = blocks.ResBlock(before, before, cond_dim, groups)",
        "self.middle2 = self.middle1",
    ),
)

answers.edit(
    "4.4",
    "a middle block that is skipped over",
    "The second middle block receives what the first one gave, not the end of the way down again.",
    ("h = self.middle1(h, cond)", "self.middle1(h, cond)"),
)

answers.edit(
    "4.4",
    "attention although the config says no",
    "config.attention decides. Attention compares every pixel with every other, which takes time.",
    (" if config.attention else nn.Identity()", ""),
)

answers.edit(
    "4.4",
    "attention never",
    "Where config.attention is True, a SelfAttention is between the two middle blocks.",
    ("        h = self.attention(h)\n", ""),
)

answers.edit(
    "4.4",
    "attention after the middle",
    "Its place is between the two middle blocks, so that the second one can work with what the "
    "pixels have learnt from each other.",
    ("        h = self.attention(h)\n", ""),
    ("self.middle2(h, cond)", "self.attention(self.middle2(h, cond))"),
)


@answers.wrong(
    "4.4",
    "groups left at the default",
    "config.groups has to reach every block; a block that is not told takes its own default.",
)
class UNet(ref.UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        def res_block(before, width, cond_dim, groups):
            return given.ResBlock(before, width, cond_dim)

        given, blocks = blocks, blocks._replace(ResBlock=res_block)
        super().__init__(config, time_embedding, class_embedding, blocks)


answers.edit(
    "4.4",
    "time_dim where cond_dim belongs",
    "time_dim is the length of the sines and cosines. What reaches the blocks has config.cond_dim "
    "numbers.",
    ("config.cond_dim, config.groups", "config.time_dim, config.groups"),
)

answers.edit(
    "4.4",
    "no norm at the end",
    "The last block's result has no fixed scale. GroupNorm and SiLU come before conv_out.",
    ("F.silu(self.norm_out(h))", "F.silu(h)"),
)

answers.edit(
    "4.4",
    "no SiLU at the end",
    "A SiLU comes between the last GroupNorm and conv_out.",
    ("F.silu(self.norm_out(h))", "self.norm_out(h)"),
)

answers.edit(
    "4.4",
    "BatchNorm at the end",
    "Its statistics mix the images of a batch, which are at different noise levels, and .eval() "
    "changes them. Use GroupNorm.",
    ("nn.GroupNorm(groups, channels[0])", "nn.BatchNorm2d(channels[0])"),
)

answers.edit(
    "4.4",
    "the result squeezed by tanh",
    "The network predicts noise, which has no bounds. conv_out is the end.",
    ("self.norm_out(h)))", "self.norm_out(h))).tanh()"),
)

answers.edit(
    "4.4",
    "x added to the result",
    "The ResBlocks have shortcuts; the whole network has none.",
    ("return self.conv_out", "return x + self.conv_out"),
)

answers.edit(
    "4.4",
    "a 1 x 1 conv_in",
    "conv_in is 3 x 3 with padding 1: a single pixel alone says little.",
    ("channels[0], kernel_size=3, padding=1", "channels[0], kernel_size=1"),
)

answers.edit(
    "4.4",
    "conv_in to base_channels",
    "conv_in leads to c_0 = base_channels * channel_mults[0], which only equals base_channels if "
    "the first multiplier is 1.",
    ("channels[0], kernel_size=3", "config.base_channels, kernel_size=3"),
    ("before = channels[0]", "before = config.base_channels"),
)

answers.edit(
    "4.4",
    "one channel out for every image",
    "The result is the noise of x, so it has as many channels as x: config.image_channels.",
    ("Conv2d(channels[0], config.image_channels", "Conv2d(channels[0], 1"),
)

answers.edit(
    "4.4",
    "blocks in a plain list",
    "nn.Module does not look into Python lists. Blocks in an nn.ModuleList are found, moved to the "
    "GPU, saved and trained.",
    ("self.down_blocks = nn.ModuleList()", "self.down_blocks = []"),
    ("self.downsamples = nn.ModuleList()", "self.downsamples = []"),
    ("self.up_blocks = nn.ModuleList()", "self.up_blocks = []"),
    ("self.upsamples = nn.ModuleList()", "self.upsamples = []"),
)

answers.edit(
    "4.4",
    "skips cut from the gradient",
    "A detached skip carries numbers up but no gradient back. That short way back is half of a "
    "skip's use.",
    ("skips.pop()", "skips.pop().detach()"),
)

answers.edit(
    "4.4",
    "cond cut from the gradient",
    "The embeddings learn through cond. Detached, they stay as they were initialised.",
    ("h = self.conv_in(x)", "cond = cond.detach()\n        h = self.conv_in(x)"),
)

answers.edit(
    "4.4",
    "skips that stay from the call before",
    "A list on self lives on after the call. Make a new one in every forward.",
    ("self.stride = 2", "self.kept = []\n        self.stride = 2"),
    ("skips = []", "skips = self.kept"),
    (
        "        h = self.middle1(h, cond)",
        "        skips = skips[: len(self.down_blocks)]\n        h = self.middle1(h, cond)",
    ),
    ("skips.pop()", "skips.pop()[: len(h)]"),
)

answers.edit(
    "4.4",
    "any size accepted",
    "A side of 10 goes 10, 5, 3 on the way down and 3, 6, 12 on the way up. Say so with a "
    "ValueError before the work begins.",
    ("if x.shape[-2] % self.stride or x.shape[-1] % self.stride", "if False"),
)


@answers.wrong(
    "4.4",
    "one halving too many demanded",
    "L levels halve L-1 times, so sides have to be multiples of 2^(L-1), not of 2^L.",
)
class UNet(ref.UNet):
    def forward(self, x, t, labels):
        if x.shape[-2] % (2 * self.stride) or x.shape[-1] % (2 * self.stride):
            raise ValueError("height and width cannot be halved so often")
        return super().forward(x, t, labels)


answers.edit(
    "4.4",
    "only the height looked at",
    "Images need not be square: both sides have to be halved.",
    (" or x.shape[-1] % self.stride", ""),
)

answers.edit(
    "4.4",
    "only oddness looked at",
    "How often a side is halved depends on the number of levels: never with one, twice with three. "
    "6 is even, but its half is not.",
    ("2 ** (len(channels) - 1)", "2"),
)

answers.edit(
    "4.4",
    "always three levels",
    "The number of levels is the length of config.channel_mults; build the ways in loops over it.",
    ("channels = config.channels ", "channels = (config.channels + 2 * config.channels[-1:])[:3] "),
)


answers.again(
    "4.4",
    "skips added instead of joined",
    ("before + width", "before"),
    ("            h = torch.cat([h, skips.pop()], dim=1)", ""),
    ("            h = upsample(h)", "            h = upsample(h + skips.pop())"),
)

answers.again(
    "4.4",
    "the input of each level kept as its skip",
    ("            skips.append(h)\n", ""),
    ("self.downsamples):\n", "self.downsamples):\n            skips.append(h)\n"),
    ("for width in reversed(channels):", "for i, width in reversed(list(enumerate(channels))):"),
    ("before + width", "before + channels[max(i - 1, 0)]"),
)

answers.edit(
    "4.4",
    "no skip on the lowest level",
    "The lowest level keeps its h like the others, and its ResBlock on the way up receives it. The "
    "middle is between the two.",
    ("before + width", "before + width * bool(len(self.up_blocks))"),
    ("h = self.middle2(h, cond)", "h = self.middle2(h, cond)\n        skips[-1] = h[:, :0]"),
)

answers.edit(
    "4.4",
    "conv_in's result as the skip of level 0",
    "skip_0 is what the ResBlock of level 0 gives, as on the other levels. conv_in comes before.",
    ("h = self.conv_in(x)", "h = first = self.conv_in(x)"),
    ("        h = self.middle1(h", "        skips[0] = first\n        h = self.middle1(h"),
)

for lists in (
    ("down_blocks",),
    ("up_blocks",),
    ("down_blocks", "up_blocks"),
    ("downsamples",),
    ("upsamples",),
    ("downsamples", "upsamples"),
):
    answers.again(
        "4.4",
        "blocks in a plain list",
        *((f"self.{name} = nn.ModuleList()", f"self.{name} = []") for name in lists),
    )

answers.again(
    "4.4",
    "groups left at the default",
    ("before + width, width, cond_dim, groups", "before + width, width, cond_dim"),
)

answers.again(
    "4.4",
    "groups left at the default",
    ("before, width, cond_dim, groups", "before, width, cond_dim"),
)

answers.edit(
    "4.4",
    "the label kept from the middle",
    "Every ResBlock is told the same sum of both embeddings, those in the middle too.",
    (
        "        h = self.middle1(h, cond)",
        "        time = self.time_embedding(t)\n        h = self.middle1(h, time)",
    ),
    ("self.middle2(h, cond)", "self.middle2(h, time)"),
)

answers.edit(
    "4.4",
    "only the width looked at",
    "Images need not be square: both sides have to be halved.",
    ("x.shape[-2] % self.stride or ", ""),
)
