// The live figures without a kernel: each is drawn from the numbers beside it. A classic script, so that a page
// opened from a folder (file://) is live, too. The figures themselves follow; they are the course's own modules.
const lstmcourse = { figures: {} };

// What a figure takes its numbers from, in place of a model in a kernel.
lstmcourse.model = (numbers) => ({
  get: (name) => numbers[name],
  set: (name, value) => { numbers[name] = value; },
  save_changes() {},
  on() {},
  off() {},
});

// Puts the live figure in the place of its picture, while the page is being read: nothing moves afterwards.
lstmcourse.show = (id) => {
  const place = document.getElementById(id);
  const numbers = JSON.parse(document.getElementById(`${id}-numbers`).textContent);
  const live = document.createElement("div");
  live.className = "live";
  place.replaceChildren(live);                               // first, so that a figure can scroll to the chosen word
  lstmcourse.figures[place.dataset.figure].render({ model: lstmcourse.model({ ...numbers, asks: false }), el: live });
};
