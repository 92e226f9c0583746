"""Enhanced Care Management: the program, a guest of the engine.  https://www.dhcs.ca.gov/CalAIM/ECM"""
