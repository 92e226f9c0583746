"""Closed-loop referrals: who may take them from which state to which, attempts at them, and the stories they make."""
