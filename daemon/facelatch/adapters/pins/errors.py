"""gpiozero's devices, and whatever gpiozero and lgpio raise as one error that names the pin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from facelatch.errors import GpioError

try:
    from gpiozero import DigitalInputDevice as DigitalInputDevice
    from gpiozero import OutputDevice as OutputDevice
except ImportError as error:
    raise GpioError(
        f"gpiozero is not installed: {error}", hint="`apt install python3-gpiozero python3-lgpio`"
    ) from error


@contextmanager
def gpio_errors(pin: int) -> Iterator[None]:
    """Turns whatever gpiozero and lgpio raise (they share no root) into a GpioError that names the pin."""
    try:
        yield
    except GpioError:
        raise
    except Exception as error:
        raise GpioError(
            f"GPIO{pin}: {getattr(error, 'value', error) or type(error).__name__}",
            hint="is this a Raspberry Pi, the pin free, the user in group gpio, lgpio at least 0.2.2? "
            'On a desk set gpio.pin_factory = "mock"',
        ) from error
