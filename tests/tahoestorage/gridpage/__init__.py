"""The admin's page of a grid."""
