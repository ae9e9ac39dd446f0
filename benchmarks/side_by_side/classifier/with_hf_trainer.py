from job import EPOCHS, make_net, train_loader, val_loader
from torch import nn
from torch.utils.data import default_collate
from transformers import Trainer, TrainingArguments


class LossTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(inputs["x"])
        loss = nn.functional.cross_entropy(outputs, inputs["y"])
        return (loss, outputs) if return_outputs else loss


def collate(rows):
    x, y = default_collate(rows)
    return {"x": x, "y": y}


net = make_net()
args = TrainingArguments(
    "trainer",
    num_train_epochs=EPOCHS,
    per_device_train_batch_size=train_loader.batch_size,
    per_device_eval_batch_size=val_loader.batch_size,
    learning_rate=1e-3,
    lr_scheduler_type="constant",
    max_grad_norm=0.0,
    train_sampling_strategy="sequential",
    eval_strategy="epoch",
    label_names=["y"],
    remove_unused_columns=False,
)
trainer = LossTrainer(
    net, args, data_collator=collate, train_dataset=train_loader.dataset, eval_dataset=val_loader.dataset
)
trainer.train()
val_loss = next(log["eval_loss"] for log in reversed(trainer.state.log_history) if "eval_loss" in log)
