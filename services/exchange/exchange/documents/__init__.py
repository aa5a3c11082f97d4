"""What is printed of an exchange: the learning agreement and the certificate of participation, as PDF in four languages."""
