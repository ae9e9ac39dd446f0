"""Networks for images as people bring them: segmentation, generation, pairs and residual blocks."""

import itertools

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy, assert_same_state
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt

ROWS = 20
IMAGES = torch.rand(ROWS, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def batches(dataset, shuffle, size=6):
    return DataLoader(dataset, size, shuffle, generator=torch.Generator().manual_seed(1))


class ConvBlock(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """One level down and up, with a connection across."""

    def __init__(self, classes=3, width=4):
        super().__init__()
        self.down = ConvBlock(1, width)
        self.bottom = ConvBlock(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join = ConvBlock(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image):
        across = self.down(image)
        below = self.up(self.bottom(F.max_pool2d(across, 2)))
        return self.head(self.join(torch.cat([across, below], dim=1)))


class Scans(Dataset):
    """Images with the class of each pixel, by name."""

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return {"image": IMAGES[index], "mask": (IMAGES[index, 0] * 3).long().clamp(max=2)}


class CrossEntropyAndDice(nn.Module):
    def forward(self, logits, target):
        shares = logits.softmax(1)
        one_hot = F.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
        common = (shares * one_hot).sum((0, 2, 3))
        dice = 2 * common / (shares + one_hot).sum((0, 2, 3))
        return F.cross_entropy(logits, target) + 1 - dice.mean()


@pytest.mark.filterwarnings("ignore:.*'mask'")  # fit says once that it is the target
class TestSegmentationOfDictBatches(ForeignCase):
    compile_args = {"loss": CrossEntropyAndDice(), "metrics": ["accuracy"], "memory_format": "contiguous"}
    save_warning = "CrossEntropyAndDice has no get_config"

    def make(self):
        return UNet()

    def loader(self, shuffle):
        return batches(Scans(), shuffle)

    def hand_loss(self, net, batch):
        return CrossEntropyAndDice()(net(batch["image"]), batch["mask"])

    def hand_outputs(self, net, batch):
        return net(batch["image"])

    def hand_scores(self, net, batches):
        logits = [net(batch["image"]).movedim(1, -1) for batch in batches]
        return {"accuracy": accuracy(logits, [batch["mask"] for batch in batches])}

    def export_call(self, batch):
        return (batch["image"],), {}


class VariationalAutoencoder(nn.Module):
    """The usual three outputs: the image again, and the mean and the logarithm of the variance of its code."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.mean = nn.Linear(16, 3)
        self.log_variance = nn.Linear(16, 3)
        self.decoder = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid())

    def forward(self, image):
        hidden = self.encoder(image)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return self.decoder(code), mean, log_variance


def evidence_loss(outputs, image):
    again, mean, log_variance = outputs
    error = F.binary_cross_entropy(again, image.flatten(1), reduction="sum")
    return error - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()


class TestAutoencoderWithALossOfAllOutputs(ForeignCase):
    compile_args = {"loss": evidence_loss}

    def make(self):
        return VariationalAutoencoder()

    def optimizer(self, net):
        return torch.optim.Adam(net.parameters(), lr=1e-3)

    def loader(self, shuffle):
        return batches(TensorDataset(IMAGES, IMAGES), shuffle)

    def hand_loss(self, net, batch):
        return evidence_loss(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}


class Siamese(nn.Module):
    """Whether two images are of the same kind."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 8))
        self.head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, first, second):
        return self.head(torch.cat([self.tower(first), self.tower(second)], dim=1)).squeeze(1)


class Pairs(Dataset):
    """Two images and a target in one flat tuple."""

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return IMAGES[index], IMAGES[(7 * index + 1) % ROWS], torch.tensor(float(index % 3 == 0))


@pytest.mark.filterwarnings("ignore:.*target")  # fit says once how it reads the items
class TestPairsInFlatTriples(ForeignCase):
    compile_args = {"loss": nn.BCELoss(), "metrics": ["accuracy"], "memory_format": "contiguous"}

    def make(self):
        return Siamese()

    def optimizer(self, net):
        return torch.optim.Adadelta(net.parameters(), lr=1.0)

    def loader(self, shuffle):
        return batches(Pairs(), shuffle)

    def hand_loss(self, net, batch):
        first, second, target = batch
        return F.binary_cross_entropy(net(first, second), target)

    def hand_outputs(self, net, batch):
        return net(batch[0], batch[1])

    def hand_scores(self, net, batches):
        right = torch.cat([(net(first, second) > 0.5) == (target > 0.5) for first, second, target in batches])
        return {"accuracy": right.float().mean().item()}

    def export_call(self, batch):
        return (batch[0], batch[1]), {}


class SuperResolution(nn.Module):
    """Twice as many pixels in each direction."""

    def __init__(self, factor=2):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 5, padding=2)
        self.second = nn.Conv2d(8, factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(factor)
        nn.init.orthogonal_(self.first.weight, nn.init.calculate_gain("relu"))

    def forward(self, image):
        return self.shuffle(self.second(F.relu(self.first(image))))


class TestSuperResolution(ForeignCase):
    compile_args = {"loss": nn.MSELoss(), "memory_format": "contiguous"}

    def make(self):
        return SuperResolution()

    def loader(self, shuffle):
        return batches(TensorDataset(F.avg_pool2d(IMAGES, 2), IMAGES), shuffle)

    def hand_loss(self, net, batch):
        return F.mse_loss(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}


class ResidualUnit(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        change = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(change + self.shortcut(x))


class ResNet20(nn.Module):
    """Three stages of three units, as for CIFAR-10, with few channels."""

    def __init__(self, width=4):
        super().__init__()
        self.stem = ConvBlock(3, width)
        widths = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        pairs = itertools.pairwise(widths)
        self.units = nn.Sequential(*(ResidualUnit(one, other, 1 if one == other else 2) for one, other in pairs))
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, image):
        return self.head(self.units(self.stem(image)).mean((2, 3)))


class TestResNet20(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"], "memory_format": "contiguous"}

    def make(self):
        return ResNet20()

    def optimizer(self, net):
        return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def scheduler(self, optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 3)

    def loader(self, shuffle):
        generator = torch.Generator().manual_seed(2)
        images = torch.randn(ROWS, 3, 8, 8, generator=generator)
        return batches(TensorDataset(images, torch.randint(0, 10, (ROWS,), generator=generator)), shuffle)

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(x) for x, _ in batches], [y for _, y in batches])}

    def export_call(self, batch):
        return (batch[0],), {}

    def test_the_automatic_memory_format_is_the_one_of_the_loop(self):
        # its shortcuts are strided 1x1 convolutions of few channels, which channels-last images do not suit
        net, _, _ = self.fit(memory_format="auto")
        expected, _ = self.hand_fit()
        assert_same_state(net, expected)


class Adversaries(nn.Module):
    """A generator of images, and a discriminator that tells them from others."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(
            nn.ConvTranspose2d(4, 8, 4, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False),
            nn.Sigmoid(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, bias=False), nn.Flatten(0)
        )

    def forward(self, noise):
        return self.generator(noise)


def adversarial_step(net, optimizers, images):
    """Train the discriminator, then the generator."""
    loss = F.binary_cross_entropy_with_logits
    real, fake = torch.ones(len(images)), torch.zeros(len(images))
    made = net.generator(torch.randn(len(images), 4, 1, 1))
    optimizers["discriminator"].zero_grad()
    of_discriminator = loss(net.discriminator(images), real) + loss(net.discriminator(made.detach()), fake)
    of_discriminator.backward()
    optimizers["discriminator"].step()
    optimizers["generator"].zero_grad()
    of_generator = loss(net.discriminator(made), real)
    of_generator.backward()
    optimizers["generator"].step()
    return of_discriminator.detach(), of_generator.detach()


class AdversarialModel(kt.Model):
    def train_step(self, data):
        (images,) = data if isinstance(data, (tuple, list)) else (data,)
        discriminator, generator = adversarial_step(self, self.optimizers, images)
        return {"discriminator_loss": discriminator, "generator_loss": generator}


class TestAdversariesWithAnOptimizerEach(ForeignCase):
    skips = {
        "evaluate": "a generator has no loss of its own",
        "validation": "a generator has no loss of its own",
    }
    monitor = "generator_loss"

    def make(self):
        return Adversaries()

    def model(self, net):
        return AdversarialModel(net)

    def optimizer(self, net):
        return {
            name: torch.optim.Adam(getattr(net, name).parameters(), 2e-3, (0.5, 0.999))
            for name in ("generator", "discriminator")
        }

    def callbacks(self, model):
        return []

    def inputs(self):
        return {"input_shape": (None, 4, 1, 1)}  # fit has seen the images, which the generator does not take

    def export_signature(self, batch):
        return (None, 4, 1, 1)

    def loader(self, shuffle):
        images = IMAGES if shuffle else torch.randn(ROWS, 4, 1, 1, generator=torch.Generator().manual_seed(3))
        return batches(TensorDataset(images), shuffle)

    def hand_step(self, net, optimizer, batch):
        return adversarial_step(net, optimizer, batch[0])[1]

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}
