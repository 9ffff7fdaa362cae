import numpy as np
import pytest
import torch

from lumbar.grades.score_fit import PARTS, ScoreFit, corrected


def problem(part: str, seed: int = 0, studies: int = 60, features: int = 4) -> tuple[ScoreFit, torch.Tensor]:
    """Make a problem whose right correction is known."""
    rng = torch.Generator().manual_seed(seed)
    start = torch.randn(studies, 5, 3, generator=rng)
    given = torch.randn(studies, 5, features, generator=rng)
    truth = torch.randn(2, features, generator=rng)
    logits = corrected(start, given, truth)
    weighted = (logits.softmax(-1) / torch.tensor([1.0, 2.0, 4.0])).flatten(0, 1)  # what the score's optimum stands for
    target = torch.multinomial(weighted, 1, generator=rng).view(studies, 5)
    target[torch.rand(studies, 5, generator=rng) < 0.1] = -100
    return ScoreFit(part, start, given, target, torch.ones(features)), truth


@pytest.mark.parametrize("part", ["nfn", "scs"])
def test_it_finds_the_minimum_that_a_general_optimiser_finds(part: str) -> None:
    fit, _ = problem(part)
    prior = 2.0
    weight, _, _ = fit.minimise(prior, torch.zeros(2, 4))
    free = torch.zeros(2, 4, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        by_grade = torch.cat([torch.zeros(1, 4), free])
        loss = fit.loss(corrected(fit.start, fit.features, free))
        loss = loss + prior * (by_grade - by_grade.mean(0)).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    least = closure().item()
    assert fit.loss(corrected(fit.start, fit.features, weight)) + fit.believed(prior, weight) == pytest.approx(
        least,
        abs=2e-2 if part == "scs" else 2e-3,  # "any severe" has a kink wherever two levels are equally bad
    )


def test_with_many_studies_it_finds_the_truth() -> None:
    fit, truth = problem("ss", studies=4000)
    torch.testing.assert_close(fit.best([64.0, 4.0, 1.0]), truth, atol=0.15, rtol=0)


def test_leaving_out_is_close_to_fitting_without() -> None:
    fit, _ = problem("nfn", studies=200)
    weight, gradients, curvatures = fit.minimise(4.0, torch.zeros(2, 4))
    predicted = fit.left_out(4.0, weight, gradients, curvatures)
    for number in range(PARTS):
        others = np.arange(200) % PARTS != number
        without = ScoreFit("nfn", fit.start[others], fit.features[others], fit.target[others], torch.ones(4))
        exact, _, _ = without.minimise(4.0, torch.zeros(2, 4))
        mine = corrected(fit.start[~others], fit.features[~others], exact)
        near = (predicted[~others].log_softmax(-1) - mine.log_softmax(-1)).abs().mean()
        far = (corrected(fit.start, fit.features, weight)[~others].log_softmax(-1) - mine.log_softmax(-1)).abs().mean()
        assert near < 0.5 * far


def test_features_that_say_nothing_leave_the_start() -> None:
    fit, _ = problem("ss")
    torch.manual_seed(0)
    noise = ScoreFit("ss", fit.start, torch.randn(60, 5, 40), torch.randint(0, 3, (60, 5)), torch.ones(40))
    assert noise.best([20.0]).abs().max() == 0  # studies left out are predicted worse than by the start
    labels = torch.full((60, 5), -100)
    assert ScoreFit("scs", fit.start, fit.features, labels, torch.ones(4)).best([1.0]).abs().max() == 0


def test_few_studies_do_not_try_a_weak_belief() -> None:
    strong, weak = (problem("ss", studies=100, seed=1)[0].best([prior]) for prior in (10.0, 9.0))
    assert strong.abs().max() > 0 and weak.abs().max() == 0


def test_the_curvature_is_that_of_the_loss() -> None:
    fit, _ = problem("nfn", studies=20)
    weight = torch.randn(2, 4) / 3
    _, gradients, curvatures = fit.derivatives(weight)
    exact = torch.autograd.functional.hessian(
        lambda w: fit.loss(corrected(fit.start, fit.features, w.view(2, 4))), weight.flatten()
    )
    torch.testing.assert_close(curvatures.sum(0).float(), exact, rtol=1e-3, atol=1e-3)
    slope = torch.autograd.functional.jacobian(
        lambda w: fit.loss(corrected(fit.start, fit.features, w.view(2, 4))), weight.flatten()
    )
    torch.testing.assert_close(gradients.sum(0).float(), slope, rtol=1e-3, atol=1e-3)
