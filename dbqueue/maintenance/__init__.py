"""What keeps the tables true: leases, rescue, promotion, pruning, and wings' duties.

Every keeper does all of it, and all of it may be done twice at once: each step is a
guarded statement, so no leader is needed.
"""
