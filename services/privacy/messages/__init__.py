"""What privacy says to people, by noun: mails and documents."""
