"""What the tests of JupyterLab and of the website do by mouse; run.py puts this folder on the path of both."""


def drag(page, slider, share):
    """By mouse: pull the thumb of a slider to a share of its way."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    now = slider.evaluate("e => (e.value - e.min) / (e.max - e.min)")
    y, at = box["y"] + box["height"] / 2, lambda part: box["x"] + 8 + (box["width"] - 16) * part
    page.mouse.move(at(now), y)
    page.mouse.down()
    page.mouse.move(at(share), y, steps=4)
    page.mouse.up()
