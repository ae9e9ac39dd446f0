"""All rows of the feature table."""

from support.feature_rows import course, gradients, losses

TABLES = (gradients.FEATURES, losses.FEATURES, course.FEATURES)
FEATURES = {name: feature for table in TABLES for name, feature in table.items()}
assert len(FEATURES) == sum(map(len, TABLES)), "two rows of one name"
