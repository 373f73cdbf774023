"""Why a change of golden's source changes no result that it promises: by file and change.

A reason is for a change that no test can tell, or that changes only how fast, or when, a result is
reached. Their number is capped.
"""

__all__ = ["REASONS"]

REASONS = {}
