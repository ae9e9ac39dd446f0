"""Networks of torchvision, timm and segmentation-models-pytorch with random weights.

Their wheels need the build of torch that they were made with, so that `make test-foreign` skips this file. To run it,
make an environment with `torch==2.14.1`, `torchvision==0.29.1`, `timm`, `segmentation-models-pytorch` and the test
packages, and run `python -m pytest tests/foreign/test_torchvision.py` in it.
"""

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy, evaluating
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

torchvision = pytest.importorskip("torchvision", exc_type=ImportError)

SIZE = 32


class Images(Dataset):
    """Random images with a class number, or with a class number for each pixel."""

    def __init__(self, by_pixel=False):
        self.by_pixel = by_pixel

    def __len__(self):
        return 12

    def __getitem__(self, index):
        draws = torch.Generator().manual_seed(index)
        image = torch.rand(3, SIZE, SIZE, generator=draws)
        return image, (image[0] > 0.5).long() if self.by_pixel else index % 3


class Classifier(ForeignCase):
    """A network of images that returns a tensor of logits."""

    compile_args = {"loss": "cross_entropy", "metrics": ["accuracy"], "memory_format": "contiguous"}

    def loader(self, shuffle):
        return DataLoader(Images(), batch_size=4, shuffle=shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(x) for x, _ in batches], [y for _, y in batches])}

    def export_call(self, batch):
        return (batch[0],), {}


class TestResNet(Classifier):
    def make(self):
        return torchvision.models.resnet18(num_classes=3)


class TestVisionTransformer(Classifier):
    def make(self):
        return torchvision.models.VisionTransformer(
            image_size=SIZE, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3
        )


class TestMobileNet(Classifier):
    def make(self):
        return torchvision.models.mobilenet_v3_small(num_classes=3)


class Segmentation(ForeignCase):
    """A network that returns class scores for each pixel, in a dict with the key `out`."""

    compile_args = {"loss": "cross_entropy", "memory_format": "contiguous"}

    def loader(self, shuffle):
        return DataLoader(Images(True), batch_size=4, shuffle=shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch[0])["out"], batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}


class TestLiteSegmentation(Segmentation):
    def make(self):
        return torchvision.models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=2
        )


def both_heads(outputs, target):
    """Return the loss of the output, and of the auxiliary head with a factor."""
    return F.cross_entropy(outputs["out"], target) + 0.5 * F.cross_entropy(outputs["aux"], target)


class TestSegmentationWithAnAuxiliaryHead(Segmentation):
    compile_args = {"loss": both_heads, "memory_format": "contiguous"}

    def make(self):
        return torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=2, aux_loss=True
        )

    def hand_loss(self, net, batch):
        return both_heads(net(batch[0]), batch[1])


class TestTimm(Classifier):
    def make(self):
        timm = pytest.importorskip("timm")
        return timm.create_model("resnet10t", pretrained=False, num_classes=3)


class TestTimmVisionTransformer(Classifier):
    def make(self):
        timm = pytest.importorskip("timm")
        return timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=3, img_size=SIZE, depth=2)


class TestUNetOfSegmentationModels(Segmentation):
    save_warning = "DiceLoss"

    @property
    def compile_args(self):
        smp = pytest.importorskip("segmentation_models_pytorch")
        return {"loss": smp.losses.DiceLoss("multiclass"), "memory_format": "contiguous"}

    def make(self):
        smp = pytest.importorskip("segmentation_models_pytorch")
        return smp.Unet("resnet18", encoder_weights=None, classes=2)

    def hand_loss(self, net, batch):
        return self.compile_args["loss"](net(batch[0]), batch[1])


class Scenes(Dataset):
    """Images of one bright square each, with its box."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        image = 0.1 * torch.rand(3, 64, 64 + 8 * index, generator=torch.Generator().manual_seed(index))
        left = 8 * index
        image[:, 16:40, left : left + 24] += 0.8
        return image, {"boxes": torch.tensor([[left, 16.0, left + 24, 40]]), "labels": torch.tensor([1])}


def pairs(rows):
    """Return the images and the targets of rows, as in torchvision's reference scripts."""
    return tuple(zip(*rows, strict=True))


def detector():
    torch.manual_seed(0)
    return torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=64, max_size=96
    )


def prepared(batch):
    images, targets = batch
    return {"images": list(images), "targets": list(targets)}


def test_a_detection_model_is_trained_by_the_losses_that_it_returns():
    import kerastorch as kt

    loader = DataLoader(Scenes(), batch_size=2, collate_fn=pairs)
    by_hand, net = detector(), detector()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.01)
    by_hand.train()
    torch.manual_seed(1)
    totals = []
    for batch in loader:
        losses = by_hand(*map(list, batch))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        totals.append(sum(losses.values()).item())
    model = kt.Model(net)
    model.compile(
        torch.optim.SGD(net.parameters(), lr=0.01), loss="model", prepare_batch=prepared, memory_format="contiguous"
    )
    torch.manual_seed(1)
    history = model.fit(loader, verbose=0).history
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), by_hand.parameters(), strict=True))
    assert history["loss"] == pytest.approx([sum(totals) / len(totals)], rel=1e-5)
    found = list(model.predict_iter(loader))
    with evaluating(by_hand):
        expected = [by_hand(list(images)) for images, _ in loader]
    assert len(found) == len(expected)
