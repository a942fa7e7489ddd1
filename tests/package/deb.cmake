# Makes the Debian package, checks what it says of itself and that its dependencies can be had, unpacks it, and builds both
# consumers of what is in it.

include(${CMAKE_CURRENT_LIST_DIR}/functions.cmake)
need(dpkg_deb dpkg-deb)
need(dpkg_shlibdeps dpkg-shlibdeps)

file(REMOVE_RECURSE ${work})
run(${cpack} -G DEB --config ${tandem_build}/CPackConfig.cmake -B ${work}/packed)
file(GLOB package ${work}/packed/*.deb)

# expect(FIELD regular-expression)
function(expect field pattern)
  ask(value ${dpkg_deb} --field ${package} ${field})
  if(NOT value MATCHES "${pattern}")
    message(FATAL_ERROR "${field} of the package is '${value}', not '${pattern}'.")
  endif()
endfunction()
string(REPLACE "." "\\." version "${tandem_version}")
expect(Package "^tandem$")
expect(Version "^${version}$")
expect(Section "^libdevel$")
expect(Maintainer "^tandem developers <tandem@localhost>$")
foreach(needed IN ITEMS libc6 "libstdc\\+\\+6" libboost-dev libcereal-dev libssl-dev)
  expect(Depends "(^|, )${needed}($|[, ])")
endforeach()

# Nothing is installed, and nothing fetched: what is not installed yet must be in apt's lists.
find_program(apt_get apt-get)
find_program(id id REQUIRED)
ask(user ${id} -u)
file(GLOB lists /var/lib/apt/lists/*_Packages*)
if(NOT apt_get OR NOT user STREQUAL "0")
  message("Without apt-get or without root: not checked whether what the package depends on can be had.")
else()
  execute_process(COMMAND ${apt_get} install --simulate --no-install-recommends ${package} COMMAND_ECHO STDOUT
                  RESULT_VARIABLE status)
  if(status EQUAL 0)
    message("What the package depends on can be had.")
  elseif(NOT lists)
    message("apt has no lists: not checked whether what the package depends on can be had.")
  else()
    message(FATAL_ERROR "apt-get would not install the package.")
  endif()
endif()

set(root ${work}/root)
run(${dpkg_deb} -x ${package} ${root})
foreach(file IN ITEMS include/tandem/tandem.hpp share/doc/tandem/copyright share/doc/tandem/README.md
        share/doc/tandem/CHANGELOG.md)
  if(NOT EXISTS ${root}/usr/${file})
    message(FATAL_ERROR "/usr/${file} is missing in the package.")
  endif()
endforeach()

set(arguments -D generator=${generator} -D compiler=${compiler} -D tandem_version=${tandem_version}
  -D prefix=${root}/usr)
run(${CMAKE_COMMAND} ${arguments} -D consumer=${CMAKE_CURRENT_LIST_DIR}/find_package
    -D work=${work}/find_package -P ${CMAKE_CURRENT_LIST_DIR}/run.cmake)
run(${CMAKE_COMMAND} ${arguments} -D work=${work}/pkg_config -P ${CMAKE_CURRENT_LIST_DIR}/pkg_config.cmake)
