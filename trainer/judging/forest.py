"""A forest of scikit-learn on a sample of the rows: what a simple model that is not linear reaches."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from trainer.judging.evidence import Part
from trainer.judging.questions import Answered, Question, Scores
from trainer.judging.scoring import score
from trainer.sampling import evenly

TREES = 40
ROWS_MOST = 3000
ELEMENTS_MOST = 1_000_000  # of wide rows fewer: the forest takes about a second at most


def forest_scores(question: Question, train: Part, held_out: Part) -> Scores | None:
    """Return a forest's scores on held-out rows, None where the question is none for a forest."""
    truth = train.given.targets
    if question.kind not in ("classification", "regression") or truth is None or truth.ndim > 1:
        return None
    width = max(1, train.features.shape[1])
    rows = evenly(len(train), min(ROWS_MOST, ELEMENTS_MOST // width))
    asked = evenly(len(held_out), ROWS_MOST)
    x, new = np.nan_to_num(train.features[rows]), np.nan_to_num(held_out.features[asked])
    facts = {"n_estimators": TREES, "min_samples_leaf": 2, "random_state": 0}
    wanted = held_out.given.truth[asked]
    if question.kind == "regression":
        model = RandomForestRegressor(**facts).fit(x, truth[rows])
        return score(question, Answered(model.predict(new)[:, None], wanted))
    grown = RandomForestClassifier(**facts).fit(x, truth[rows].astype(np.int64))
    answers = np.zeros((len(new), len(question.labels)))
    answers[:, grown.classes_] = grown.predict_proba(new)
    return score(question, Answered(answers, wanted))
