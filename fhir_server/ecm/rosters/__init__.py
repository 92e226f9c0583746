"""Who is assigned to whom: an assignment as Patient, Coverage, CareTeam and member of a roster."""
