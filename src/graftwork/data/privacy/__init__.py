"""Personal data: find it in Chinese and English before anything is tokenised, and mask it or replace it for a while."""
