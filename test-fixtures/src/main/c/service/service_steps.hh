// What the steps throw.
#pragma once

struct OddNumber {
  long number;
};
