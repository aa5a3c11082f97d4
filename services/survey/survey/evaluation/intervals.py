"""How sure a share is: Wilson's interval, the same where companies answered several times, and that of a difference."""

from math import sqrt
from statistics import NormalDist

from survey.evaluation.figures import ClusterSums

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

Interval = tuple[float, float]


def wilson(favourable: float, valid: float) -> Interval:
    """The 95% score interval of a share, which stays within 0 and 1 and holds at small counts; ``valid`` is above 0.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (158), 1927, pp. 209-212.
    """
    share = favourable / valid
    centre = share + _Z**2 / (2 * valid)
    half = _Z * sqrt(share * (1 - share) / valid + _Z**2 / (4 * valid**2))
    return max(0.0, (centre - half) / (1 + _Z**2 / valid)), min(1.0, (centre + half) / (1 + _Z**2 / valid))


def cluster_variance(sums: ClusterSums) -> float:
    """Variance of a share over clusters: the sandwich, with the factor G / (G - 1) for few clusters G, which are two or more.

    K.-Y. Liang, S. L. Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73 (1), 1986,
    pp. 13-22; the factor as in A. C. Cameron, D. L. Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of
    Human Resources 50 (2), 2015, pp. 317-372. Of a model with a constant only, the residuals of a cluster sum to y - p n.
    """
    n, y = sums.valid, sums.favourable
    residuals = sums.favourable_squared * n**2 - 2 * y * n * sums.valid_favourable + y**2 * sums.valid_squared
    return residuals / n**4 * sums.clusters / (sums.clusters - 1)


def design_effect(sums: ClusterSums) -> float:
    """How many times the variance is that of as many independent answers; 1 where every company answered once.

    Where all answered alike, or all came from one company, the data do not tell: then the answers of a company count as
    one, which is the most careful reading. L. Kish, Survey Sampling, Wiley, 1965, section 5.4: 1 + (m - 1) rho, with rho
    at 1 and clusters of unequal sizes the sum of their squares over their sum.
    """
    if sums.valid_squared == sums.valid:
        return 1.0
    if sums.clusters < 2 or sums.favourable in (0, sums.valid):
        return sums.valid_squared / sums.valid
    share = sums.favourable / sums.valid
    return cluster_variance(sums) / (share * (1 - share) / sums.valid)


def cluster_robust(sums: ClusterSums) -> Interval:
    """Wilson's interval on as many answers as they are worth, n over the design effect, and never on more than there are.

    E. L. Korn, B. I. Graubard, "Confidence Intervals For Proportions With Small Expected Number of Positive Counts
    Estimated From Survey Data", Survey Methodology 24 (2), 1998, pp. 193-201; with Wilson's interval N. Dean, M. Pagano,
    "Evaluating Confidence Interval Methods for Binomial Proportions in Clustered Surveys", Journal of Survey Statistics and
    Methodology 3 (4), 2015, pp. 484-503.
    """
    worth = sums.valid / max(1.0, design_effect(sums))
    return wilson(sums.favourable / sums.valid * worth, worth)


def difference(earlier: float, of_earlier: Interval, later: float, of_later: Interval) -> Interval:
    """The 95% interval of later less earlier share, from the interval of each: Newcombe's hybrid score method.

    The two are taken as independent. Where the same companies answer twice they agree rather than not, and the interval is
    wider than it need be. R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison
    of eleven methods", Statistics in Medicine 17 (8), 1998, pp. 873-890, method 10; with other intervals than Wilson's G. Y.
    Zou, A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27 (10), 2008,
    pp. 1693-1702.
    """
    moved = later - earlier
    return (
        moved - sqrt((later - of_later[0]) ** 2 + (of_earlier[1] - earlier) ** 2),
        moved + sqrt((of_later[1] - later) ** 2 + (earlier - of_earlier[0]) ** 2),
    )
