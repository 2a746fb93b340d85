#pragma once

#include <pybind11/pybind11.h>

namespace harness::text {

void bind(pybind11::module_& module);

}  // namespace harness::text
