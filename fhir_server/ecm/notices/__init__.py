"""Notices of closed-loop referrals to members and referring entities: written with their cause, sent by channels."""
