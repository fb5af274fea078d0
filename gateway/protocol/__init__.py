"""The wire, pure: frames, parameters, codes and signature payloads."""
