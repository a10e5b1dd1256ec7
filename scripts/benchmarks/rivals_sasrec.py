"""RecTools' SASRec with a time limit and early stopping; used by ``rivals_worker.py`` only."""

import copy
import time

import numpy as np
import pytorch_lightning as lightning
import torch
from rectools.models import SASRecModel

K = 10


class Stop(lightning.Callback):
    """Stop after ``cap`` seconds, or ``patience`` epochs after the best one; restore the best weights."""

    def __init__(self, cap, patience):
        self.cap, self.patience = cap, patience
        self.best, self.best_epoch, self.weights = -1.0, None, None
        self.batches, self.epochs, self.capped = 0, 0.0, False
        self.gains = []

    def on_train_start(self, trainer, module):  # noqa: ARG002
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer, *_):
        self.batches += 1
        self.epochs = self.batches / trainer.num_training_batches
        if time.perf_counter() - self.started > self.cap:
            self.capped = trainer.should_stop = True

    def on_validation_batch_end(self, trainer, module, outputs, batch, *_):  # noqa: ARG002
        users = module.torch_model.encode_sessions(batch, module.item_embs)[:, -1]
        scores = users @ module.item_embs.T
        target_scores = scores.gather(1, batch["y"])
        scores.scatter_(1, batch["x"], -torch.inf)
        scores[:, 0] = -torch.inf
        ranks = (scores > target_scores).sum(dim=1)
        self.gains += torch.where(ranks < K, 1 / torch.log2(ranks + 2.0), 0).tolist()

    def on_validation_epoch_end(self, trainer, module):
        reached, self.gains = float(np.mean(self.gains)), []
        if trainer.sanity_checking:
            return
        print(f"    epoch {self.epochs:.2f}: validation NDCG@10 {reached:.4f}", flush=True)
        if reached > self.best:
            self.best, self.best_epoch = reached, self.epochs
            self.weights = copy.deepcopy(module.torch_model.state_dict())
        elif self.epochs - self.best_epoch >= self.patience:
            trainer.should_stop = True

    def on_train_end(self, trainer, module):  # noqa: ARG002
        if self.weights is not None:
            module.torch_model.load_state_dict(self.weights)

    def summary(self):
        """Return the number of epochs, the best epoch, and whether the time limit was reached."""
        return {"epochs": self.epochs, "best epoch": self.best_epoch, "capped": self.capped}


def last_of_some(interactions, every):
    """Return the mask of the last item of each ``every``-th user, for validation."""
    last = ~interactions["user_id"].duplicated(keep="last")
    return (last & (interactions["user_id"] % every == 0)).to_numpy()


def sasrec(cap, epochs, patience=None, every=10, **settings):
    """Return an untrained model; with ``patience``, the last items of some users are the validation part."""

    def trainer():
        return lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[Stop(cap, patience)],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
        )

    lightning.seed_everything(1, verbose=False)
    validation = {"get_val_mask_func": last_of_some, "get_val_mask_func_kwargs": {"every": every}}
    return SASRecModel(get_trainer_func=trainer, **(validation if patience else {}), **settings)
